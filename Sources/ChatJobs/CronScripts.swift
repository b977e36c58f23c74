import RedisClient

/// The atomic changes that schedulers share, ours and Ruby's: a crash loses no tick.
enum CronScripts {
    /// Writes a job's definition. A status that is there stays, and a job that was disabled when its hash was deleted
    /// comes back disabled. What is due by now counts as done where the expression is a new one:
    /// a hash's `luciq_expression` is the one whose ticks are in `enqueued`.
    ///
    /// KEYS: set of jobs, job, enqueued, the disabled. ARGV: its name; 1 to overwrite what is there, expression, its last tick's score
    /// and member or nothing, fields and values. Returns 0 when it is there, 1 written.
    static let define = RedisScript(
        """
        local isNew = redis.call('HEXISTS', KEYS[2], 'cron') == 0
        if not isNew and ARGV[2] == '0' then return 0 end
        local isDisabled = redis.call('SISMEMBER', KEYS[4], ARGV[1]) == 1
        redis.call('SADD', KEYS[1], KEYS[2])
        redis.call('HSET', KEYS[2], unpack(ARGV, 6))
        redis.call('HSETNX', KEYS[2], 'status', isDisabled and 'disabled' or 'enabled')
        if redis.call('HGET', KEYS[2], 'luciq_expression') ~= ARGV[3] then
          redis.call('HSET', KEYS[2], 'luciq_expression', ARGV[3])
          if ARGV[5] ~= '' then redis.call('ZADD', KEYS[3], 'NX', ARGV[4], ARGV[5]) end
        end
        return 1
        """)

    /// Replaces the enqueued message, unless another process has. KEYS: job. ARGV: the old message, the new one.
    static let setMessage = RedisScript(
        """
        if redis.call('HGET', KEYS[1], 'message') ~= ARGV[1] then return 0 end
        redis.call('HSET', KEYS[1], 'message', ARGV[2])
        return 1
        """)

    /// Removes a job of ours that an earlier configuration left under the keys of another version of sidekiq-cron,
    /// where its ticks would be enqueued a second time. KEYS: set of jobs, job, enqueued, history, the disabled. ARGV:
    /// its name. Returns whether it existed.
    static let remove = RedisScript(
        """
        if redis.call('HEXISTS', KEYS[2], 'luciq_expression') == 0 then return 0 end
        if redis.call('HGET', KEYS[2], 'status') == 'disabled' then redis.call('SADD', KEYS[5], ARGV[1]) end
        redis.call('SREM', KEYS[1], KEYS[2])
        redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
        return 1
        """)

    /// Enqueues for a tick, unless another process has. The tick also counts as done if the job is disabled, if its
    /// expression is new (edited), and if the tick is not wanted.
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
