#include "worker/adopt/adopt_fixture_test.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <utility>

#include "base/check.h"
#include "http/sse.h"

namespace dormouse::worker::adopt {
namespace {

constexpr std::chrono::seconds kPatience{20};
constexpr const char* kEnvironment[] = {"PATH=/usr/bin:/bin", nullptr};

}  // namespace

AdopterHarness::AdopterHarness(Options options) : directory_(make_directory()) {
  AdoptOptions adopt;
  adopt.listen = {.kind = http::Address::Kind::kUnix, .path = path("data.sock"), .host = {}, .port = 0};
  if (!options.listen.empty()) adopt.listen = http::Address::parse(options.listen).value();
  adopt.served_model_name = "ours";
  adopt.context_length = 2048;
  adopt.gateway.control = options.control;
  adopt.gateway.lease = "the-lease";
  adopt.gateway.epoch = 42;
  adopt.ready_deadline = options.ready_deadline;
  adopt.ready_path = options.ready_path;
  adopt.container = std::move(options.container);
  is_contained_ = !adopt.container.image.empty();
  adopt.command = std::move(options.command);
  if (adopt.command.empty()) adopt.command = {FAKE_UPSTREAM_PATH, "--port", "{port}"};
  for (std::string word : options.arguments) {
    if (const std::size_t at = word.find("{dir}"); at != std::string::npos) word.replace(at, 5, directory_);
    adopt.command.push_back(std::move(word));
  }
  AdopterEvents events;
  events.on_output = [this](std::string_view text) {
    const std::lock_guard lock(mutex_);
    output_ += text;
  };
  events.on_exit = [this](int code) {
    const std::lock_guard lock(mutex_);
    exit_code_ = code;
    changed_.notify_all();
  };
  adopter_ = std::make_unique<Adopter>(io_, std::move(adopt), kEnvironment, std::move(events));
  CHECK(adopter_->start().has_value());  // here: PDEATHSIG is bound to the thread that spawns
  address_ = adopter_->address();
  thread_ = std::thread([this] {
    const auto guard = asio::make_work_guard(io_);
    io_.run();
  });
}

AdopterHarness::~AdopterHarness() {
  std::promise<void> stopped;
  asio::post(io_, [&] {
    adopter_->stop();
    adopter_->stop();  // the second kills
    stopped.set_value();
  });
  stopped.get_future().wait();
  if (is_contained_) (void)wait_exit();  // its container is no process of ours
  io_.stop();
  thread_.join();
  adopter_.reset();
  std::filesystem::remove_all(directory_);
}

void AdopterHarness::touch(const std::string& name) const {
  std::ofstream(path(name)).put('x');
}

bool AdopterHarness::wait_ready() {
  return http::TestServer::eventually([this] { return get("/health").status == 200; });
}

void AdopterHarness::drain() {
  asio::post(io_, [this] { adopter_->drain(); });
}

std::optional<int> AdopterHarness::wait_exit() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [this] { return exit_code_.has_value(); });
  return exit_code_;
}

std::string AdopterHarness::output() {
  const std::lock_guard lock(mutex_);
  return output_;
}

http::RawAnswer AdopterHarness::get(const std::string& path) {
  http::RawClient client(address_);
  client.send("GET " + path + " HTTP/1.1\r\nhost: x\r\n\r\n");
  return client.read_answer();
}

http::RawAnswer AdopterHarness::post(const std::string& path, const std::string& body) {
  http::RawClient client(address_);
  client.send(post_bytes(path, body));
  return client.read_answer();
}

std::string post_bytes(const std::string& path, const std::string& body) {
  return "POST " + path +
         " HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::vector<std::string> sse_payloads(const std::string& body) {
  http::SseParser parser;
  parser.push(body);
  std::vector<std::string> out;
  for (auto event = parser.next(); event.has_value(); event = parser.next()) out.push_back(std::move(event->data));
  return out;
}

}  // namespace dormouse::worker::adopt
