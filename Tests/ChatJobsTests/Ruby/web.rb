# Sidekiq's pages over HTTP, with sidekiq-cron's. Prints the port it listens on.
require_relative "setup"
require "rack/handler/webrick"
require "rack/session/cookie"
require "sidekiq/cron"
require "sidekiq/web"
require "sidekiq/cron/web"

$stdout.sync = true
app = Rack::Builder.new do
  use Rack::Session::Cookie, secret: "s" * 64, same_site: true
  run Sidekiq::Web
end
options = {Host: "127.0.0.1", Port: 0, AccessLog: [], Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN)}
Rack::Handler::WEBrick.run(app, **options) { |server| puts "Listening on #{server.config[:Port]}." }
