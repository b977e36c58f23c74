import RedisClient

/// The scripts that change jobs atomically.
///
/// A script that moves a job checks that it is there, adds it to its new place, and only then removes it. So a script may
/// be repeated when its reply was lost; a job that was rescued meanwhile stays with its rescuer; and because Redis does not
/// undo a failed script, an error (a key of a wrong type) leaves the job where it was.
///
/// A full Redis refuses scripts that write, except those marked `allow-oom`, as ours are: they empty queues.
enum JobScripts {
    /// Acknowledges finished jobs and takes new ones.
    ///
    /// KEYS: the presence; then for each queue its held list and itself. ARGV: how many to take; how many are finished;
    /// for each of these the queue's number and the payload; then the queues' numbers in the order to look at.
    /// Returns the queue's number and the payload of each job taken, or ABSENT: a process without a heartbeat must take
    /// nothing, because its jobs would be rescued at once, or, without its entry among the holders, never.
    static let fetch = RedisScript(
        """
        #!lua flags=allow-oom
        local at = 3
        for _ = 1, ARGV[2] do
          redis.call('LREM', KEYS[2 * ARGV[at]], 1, ARGV[at + 1])
          at = at + 2
        end
        local slots = tonumber(ARGV[1])
        if slots == 0 then return {} end
        if redis.call('EXISTS', KEYS[1]) == 0 then return redis.status_reply('ABSENT') end
        local found = {}
        for i = at, #ARGV do
          local held, queue = KEYS[2 * ARGV[i]], KEYS[2 * ARGV[i] + 1]
          while slots > 0 do
            local payload = redis.pcall('LMOVE', queue, held, 'RIGHT', 'LEFT')
            if type(payload) ~= 'string' then
              -- A queue that is no list holds up no other; whatever else is refused (a right, writing) is for all.
              local refusal = type(payload) == 'table' and payload.err
              if refusal and #found == 0 and not string.find(refusal, 'WRONGTYPE', 1, true) then return payload end
              break
            end
            found[#found + 1] = ARGV[i]
            found[#found + 1] = payload
            slots = slots - 1
          end
        end
        return found
        """)

    /// Puts a failed job into a sorted set. KEYS: held, set. ARGV: payload, new payload, score, and for the dead the
    /// oldest score and the number that are kept. Without a second key the job is dropped.
    static let fail = RedisScript(
        """
        #!lua flags=allow-oom
        if not redis.call('LPOS', KEYS[1], ARGV[1]) then return 0 end
        if KEYS[2] then
          redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
          if ARGV[4] then
            redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[4])
            redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -ARGV[5] - 1)
          end
        end
        redis.call('LREM', KEYS[1], 1, ARGV[1])
        return 1
        """)

    /// Puts back one job. KEYS: held, queue, queues. ARGV: payload, queue's name.
    static let putBack = RedisScript(
        """
        #!lua flags=allow-oom
        if not redis.call('LPOS', KEYS[1], ARGV[1]) then return 0 end
        redis.call('SADD', KEYS[3], ARGV[2])
        redis.call('RPUSH', KEYS[2], ARGV[1])
        redis.call('LREM', KEYS[1], 1, ARGV[1])
        return 1
        """)

    /// Puts back all jobs that a process holds of a queue, so that the oldest is the next to be taken, and removes it
    /// from the holders. KEYS: held, queue, holders. ARGV: the holder. Returns how many.
    static let release = RedisScript(
        """
        #!lua flags=allow-oom
        local count = 0
        while redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT') do count = count + 1 end
        redis.call('SREM', KEYS[3], ARGV[1])
        return count
        """)

    /// Rescues one job of a process that is gone, or buries it. KEYS: the presence, held, queue, queues, deaths, dead.
    /// ARGV: payload, payload for the dead, queue's name, now, the oldest score and the number of dead that are kept,
    /// after how many deaths it is buried. Returns how often it has died by now; 0 when there was nothing to do.
    static let rescue = RedisScript(
        """
        #!lua flags=allow-oom
        if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
        if not redis.call('LPOS', KEYS[2], ARGV[1]) then return 0 end
        local deaths = (tonumber(redis.call('GET', KEYS[5]) or 0) or 0) + 1
        if deaths >= tonumber(ARGV[7]) then
          redis.call('ZADD', KEYS[6], ARGV[4], ARGV[2])
          redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', '(' .. ARGV[5])
          redis.call('ZREMRANGEBYRANK', KEYS[6], 0, -ARGV[6] - 1)
          redis.call('LREM', KEYS[2], 1, ARGV[1])
          redis.call('DEL', KEYS[5])
        else
          redis.call('SADD', KEYS[4], ARGV[3])
          redis.call('RPUSH', KEYS[3], ARGV[1])
          redis.call('LREM', KEYS[2], 1, ARGV[1])
          redis.call('SET', KEYS[5], deaths, 'EX', 259200)
        end
        return deaths
        """)

    /// Forgets a holder that is gone and holds nothing. KEYS: the presence, held, holders. ARGV: the holder.
    static let forget = RedisScript(
        """
        if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return 0 end
        return redis.call('SREM', KEYS[3], ARGV[1])
        """)

    /// Moves an entry of a sorted set into its queue. KEYS: set, queue, queues. ARGV: entry, new payload, queue's name.
    static let promote = RedisScript(
        """
        #!lua flags=allow-oom
        if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
        redis.call('SADD', KEYS[3], ARGV[3])
        redis.call('LPUSH', KEYS[2], ARGV[2])
        redis.call('ZREM', KEYS[1], ARGV[1])
        return 1
        """)

    /// Moves an entry of a sorted set to the dead. KEYS: set, dead. ARGV: entry, new payload, now, the oldest score and
    /// the number that are kept.
    static let kill = RedisScript(
        """
        #!lua flags=allow-oom
        if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
        redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
        redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[4])
        redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -ARGV[5] - 1)
        redis.call('ZREM', KEYS[1], ARGV[1])
        return 1
        """)

    /// Enqueues unless an equal job was. KEYS: lock, queues, and the queue or the schedule. ARGV: id, milliseconds,
    /// score or nothing, queue's name, payload.
    static let pushUnique = RedisScript(
        """
        if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
        if ARGV[3] == '' then
          redis.call('SADD', KEYS[2], ARGV[4])
          redis.call('LPUSH', KEYS[3], ARGV[5])
        else
          redis.call('ZADD', KEYS[3], ARGV[3], ARGV[5])
        end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return 1
        """)

    /// Runs commands one after the other, even after errors. ARGV: for each command the number of its words, and the
    /// words. Returns the index of the first refused one, from 0, and its error; nothing if none was refused.
    static let all = RedisScript(
        """
        #!lua flags=allow-oom
        local at, place, refusal = 1, 0, nil
        while at <= #ARGV do
          local last = at + ARGV[at]
          local reply = redis.pcall(unpack(ARGV, at + 1, last))
          if not refusal and type(reply) == 'table' and reply.err then refusal = {place, reply.err} end
          at = last + 1
          place = place + 1
        end
        return refusal
        """)
}
