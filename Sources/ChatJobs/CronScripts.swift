import RedisClient

/// What schedulers do together, ours and Ruby's: each as a whole or not at all, so that a crash loses no tick.
enum CronScripts {
    /// Writes a job's definition. A status that is there stays; a job that somebody deleted comes back disabled, since
    /// whoever deleted it did not want it to run. What is due by now counts as done where the expression is a new one:
    /// a hash's `luciq_expression` is the one whose ticks are in `enqueued`.
    ///
    /// KEYS: set of jobs, job, enqueued, ours. ARGV: 1 to overwrite what is there, expression, its last tick's score
    /// and member or nothing, fields and values. Returns 0 when it is there, 1 written, 2 as one that was deleted.
    static let define = RedisScript(
        """
        local isNew = redis.call('HEXISTS', KEYS[2], 'cron') == 0
        if not isNew and ARGV[1] == '0' then return 0 end
        local wasDeleted = isNew and redis.call('SISMEMBER', KEYS[4], KEYS[2]) == 1
        redis.call('SADD', KEYS[4], KEYS[2])
        redis.call('SADD', KEYS[1], KEYS[2])
        redis.call('HSET', KEYS[2], unpack(ARGV, 5))
        redis.call('HSETNX', KEYS[2], 'status', wasDeleted and 'disabled' or 'enabled')
        if redis.call('HGET', KEYS[2], 'luciq_expression') ~= ARGV[2] then
          redis.call('HSET', KEYS[2], 'luciq_expression', ARGV[2])
          if ARGV[4] ~= '' then redis.call('ZADD', KEYS[3], 'NX', ARGV[3], ARGV[4]) end
        end
        return wasDeleted and 2 or 1
        """)

    /// Enqueues for a tick, unless somebody has. The tick counts as done as well where the job is disabled, where its
    /// expression is a new one (somebody edited it), and where it is not wanted.
    ///
    /// KEYS: job, enqueued, history, queues, queue. ARGV: expression, the tick's score and member, the least score that
    /// is kept, 1 if it is wanted, payload, queue's name, time, entry of the history and how many are kept. Returns 0
    /// when it was done, 1 enqueued, 2 counted as done, 3 when it has another expression by now.
    static let tick = RedisScript(
        """
        if redis.call('HGET', KEYS[1], 'cron') ~= ARGV[1] then return 3 end
        local isNew = redis.call('HGET', KEYS[1], 'luciq_expression') ~= ARGV[1]
        if isNew then redis.call('HSET', KEYS[1], 'luciq_expression', ARGV[1]) end
        if redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[3]) == 0 then return 0 end
        redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[4])
        local status = redis.call('HGET', KEYS[1], 'status')
        if isNew or ARGV[5] == '0' or status and status ~= 'enabled' then return 2 end
        redis.call('SADD', KEYS[4], ARGV[7])
        redis.call('LPUSH', KEYS[5], ARGV[6])
        redis.call('HSET', KEYS[1], 'last_enqueue_time', ARGV[8])
        redis.call('LPUSH', KEYS[3], ARGV[9])
        redis.call('LTRIM', KEYS[3], 0, ARGV[10] - 1)
        return 1
        """)
}
