#include "worker/worker_fixture_test.h"

#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "api/generation.h"
#include "base/check.h"
#include "http/sse.h"

namespace dormouse::worker {
namespace {

constexpr std::chrono::seconds kPatience{10};

}  // namespace

WorkerHarness::WorkerHarness(Options options) : directory_(make_directory()), may_load_(!options.hold_load) {
  options.serve.listen = unix_address(directory_ + "/data.sock");
  options.serve.load.path = "fake.gguf";
  ModelLoader loader = std::move(options.loader);
  if (!loader) {
    loader = [this, model = options.model](const LoadProgress& progress) -> Result<LoadedModel> {
      progress(0.5);
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return may_load_; });
      return fake_model(model, controls_);
    };
  }
  worker_ = std::make_unique<Worker>(io_, std::move(options.serve), std::move(loader), [this](int code) {
    const std::lock_guard lock(mutex_);
    exit_code_ = code;
    changed_.notify_all();
  });
  CHECK(worker_->start().has_value());
  address_ = worker_->address();
  thread_ = std::thread([this] {
    const auto guard = asio::make_work_guard(io_);
    io_.run();
  });
}

WorkerHarness::~WorkerHarness() {
  finish_load();
  controls_->release();
  std::promise<void> stopped;
  // The handlers' last events: channels close, answers end, then the loop may stop.
  asio::post(io_, [&] {
    worker_->engine().stop();
    stopped.set_value();
  });
  stopped.get_future().wait();
  io_.stop();
  thread_.join();
  worker_.reset();
  std::filesystem::remove_all(directory_);
}

void WorkerHarness::finish_load() {
  const std::lock_guard lock(mutex_);
  may_load_ = true;
  changed_.notify_all();
}

bool WorkerHarness::wait_ready() {
  return http::TestServer::eventually([this] { return get("/health").status == 200; });
}

void WorkerHarness::drain() {
  asio::post(io_, [this] { worker_->drain(); });
}

std::optional<int> WorkerHarness::wait_exit() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [this] { return exit_code_.has_value(); });
  return exit_code_;
}

http::RawAnswer WorkerHarness::get(const std::string& path) {
  http::RawClient client(address_);
  client.send("GET " + path + " HTTP/1.1\r\nhost: x\r\n\r\n");
  return client.read_answer();
}

http::RawAnswer WorkerHarness::post(const std::string& path, const std::string& body,
                                    const std::string& extra_headers) {
  http::RawClient client(address_);
  client.send(post_bytes(path, body, extra_headers));
  return client.read_answer();
}

double WorkerHarness::metric(const std::string& name) {
  const std::string text = get("/metrics").body;
  std::size_t at = text.find("\n" + name + "{");
  if (at == std::string::npos) return -1;
  at = text.find("} ", at);
  return std::strtod(text.c_str() + at + 2, nullptr);
}

std::string post_bytes(const std::string& path, const std::string& body, const std::string& extra_headers) {
  std::string out = "POST " + path + " HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ";
  out += std::to_string(body.size());
  return out + "\r\n" + extra_headers + "\r\n" + body;
}

std::vector<std::string> sse_payloads(const std::string& body) {
  http::SseParser parser;
  parser.push(body);
  std::vector<std::string> out;
  for (auto event = parser.next(); event.has_value(); event = parser.next()) out.push_back(std::move(event->data));
  return out;
}

std::string streamed_text(const std::string& body) {
  std::string out;
  for (const std::string& payload : sse_payloads(body)) {
    if (payload == "[DONE]") continue;
    const Result<api::ParsedChunk> chunk = api::parse_chunk(payload);
    if (!chunk.has_value()) return "unreadable chunk: " + payload;
    for (const api::Delta& delta : chunk->choices) {
      if (delta.index == 0) out += delta.content;
    }
  }
  return out;
}

}  // namespace dormouse::worker
