# Jobs for a real Ruby worker: `sidekiq -r jobs.rb`. What they did is in Redis lists of their names.
require_relative "setup"
require "sidekiq/cron" if ENV["WITH_CRON"]

Sidekiq.options[:poll_interval_average] = 0.5
Sidekiq.options[:cron_poll_interval] = 1

class Echo
  include Sidekiq::Worker

  def perform(*arguments)
    Sidekiq.redis { |redis| redis.rpush("ruby:Echo", Sidekiq.dump_json(arguments)) }
  end
end

class Count
  include Sidekiq::Worker

  def perform(number)
    sleep 0.005
    Sidekiq.redis { |redis| redis.rpush("ruby:Count", number) }
  end
end

class Fails
  include Sidekiq::Worker

  # Ours fails; Ruby's does not.
  def perform(*arguments)
    Sidekiq.redis { |redis| redis.rpush("ruby:Fails", Sidekiq.dump_json(arguments)) }
  end
end
