// Test equipment: a worker with a fake engine (or any model) on a Unix socket, its loop on a thread of its own. Tests
// speak to it through sockets.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/server_fixture_test.h"
#include "worker/fake_engine_test.h"
#include "worker/fake_gateway_test.h"
#include "worker/worker.h"

namespace dormouse::worker {

class WorkerHarness {
 public:
  struct Options {
    FakeModelOptions model;
    ServeOptions serve;
    bool hold_load = false;  // loading goes on until finish_load()
    ModelLoader loader;      // instead of the fake model
  };
  WorkerHarness() : WorkerHarness(Options{}) {}
  explicit WorkerHarness(Options options);
  ~WorkerHarness();
  WorkerHarness(const WorkerHarness&) = delete;
  WorkerHarness& operator=(const WorkerHarness&) = delete;

  [[nodiscard]] FakeControls& engine() { return *controls_; }
  [[nodiscard]] const http::Address& address() const { return address_; }
  void finish_load();
  [[nodiscard]] bool wait_ready();
  void drain();
  // The exit code, at most 10 s after the call.
  [[nodiscard]] std::optional<int> wait_exit();

  [[nodiscard]] http::RawAnswer get(const std::string& path);
  [[nodiscard]] http::RawAnswer post(const std::string& path, const std::string& body,
                                     const std::string& extra_headers = {});
  // One line of /metrics, its value. Missing: -1.
  [[nodiscard]] double metric(const std::string& name);

 private:
  asio::io_context io_;
  std::string directory_;
  std::shared_ptr<FakeControls> controls_ = std::make_shared<FakeControls>();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool may_load_ = true;
  std::optional<int> exit_code_;
  std::unique_ptr<Worker> worker_;
  http::Address address_;
  std::thread thread_;
};

// A worker of the model in a file, under the name that requests of tests ask for.
[[nodiscard]] inline WorkerHarness::Options of_file(LoadOptions load) {
  WorkerHarness::Options out;
  out.serve.served_model_name = "fake";
  out.loader = [load = std::move(load)](const LoadProgress& progress) { return load_model(load, progress); };
  return out;
}

// "POST path HTTP/1.1" with a JSON body, ready to send.
[[nodiscard]] std::string post_bytes(const std::string& path, const std::string& body,
                                     const std::string& extra_headers = {});
// The data: payloads of an SSE body, [DONE] included.
[[nodiscard]] std::vector<std::string> sse_payloads(const std::string& body);
// The content of all chunks of a streamed answer put together, choice 0.
[[nodiscard]] std::string streamed_text(const std::string& body);

}  // namespace dormouse::worker
