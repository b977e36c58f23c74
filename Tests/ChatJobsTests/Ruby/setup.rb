# Sidekiq on the Redis of the test (REDIS_URL).
require "sidekiq"
require "sidekiq/api"

Sidekiq.logger.level = Logger::WARN
[:configure_client, :configure_server].each do |configure|
  Sidekiq.public_send(configure) { |config| config.redis = {url: ENV.fetch("REDIS_URL")} }
end
