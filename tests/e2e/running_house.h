// A real `dormouse serve` in a directory of its own, and an HTTP client for it. Everything ends with the object, and
// nothing is left behind. Threads: one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/subprocess.h"
#include "gateway/admin/report_wire.h"
#include "gateway/admin_wire.h"
#include "http/client.h"
#include "http/message.h"

namespace dormouse::e2e {

struct Answer {
  int status = 0;    // 0: no answer came
  std::string body;  // what came, also of an answer that broke off
  http::Headers headers;
  bool whole = false;  // the body ended as HTTP says it should
};

// Runs requests together on one loop; on_piece sees each piece of a body as it comes and may stop it by returning
// false.
struct Wish {
  std::string method = "GET";
  std::string target = "/";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::function<bool(const std::string&)> on_piece;
};

struct HouseSetup {
  // What each deployment's fake worker does (tests/fake_worker/behaviour.h), by name.
  std::vector<std::pair<std::string, std::string>> fakes;
  std::string idle_timeout = "10m";
  std::string worker;              // default: the fake one
  std::vector<std::string> extra;  // further switches
  std::string config;              // dormouse.toml, written before it starts
  std::vector<std::string> environment;  // "NAME=value", instead of what it has anyway
  std::string data_dir;            // default: a new one, removed at the end
};

class RunningHouse {
 public:
  explicit RunningHouse(HouseSetup setup);
  ~RunningHouse();
  RunningHouse(const RunningHouse&) = delete;
  RunningHouse& operator=(const RunningHouse&) = delete;

  // False: it did not come up; log() says why.
  [[nodiscard]] bool is_up() const { return up_; }
  Answer ask(Wish wish);  // over TCP
  std::vector<Answer> ask_all(std::vector<Wish> wishes);
  Answer post(const std::string& target, const std::string& body);
  Answer send(const std::string& method, const std::string& target, const std::string& body);
  Answer get(const std::string& target);

  gateway::DeploymentView deployment(const std::string& name);
  std::vector<ledger::RequestRow> rows();  // newest first, settled and open
  std::int64_t metric(const std::string& name_and_labels);
  std::int64_t resident_bytes();
  // Polls the predicate until it holds; false after the deadline.
  bool eventually(std::chrono::milliseconds deadline, const std::function<bool()>& predicate);

  [[nodiscard]] const http::Address& address() const { return address_; }  // its --listen
  [[nodiscard]] pid_t pid() const;
  void signal(int number);
  // Ends the server (SIGKILL: without a word) and starts it again on the same data. False: it did not come up.
  bool restart(int how = SIGTERM);
  // After it has ended by itself. False: it did not come up.
  bool start_again();
  // What it has beside its setup's environment from the next start on: a crash point, say.
  void set_environment(std::vector<std::string> environment) { environment_ = std::move(environment); }
  std::optional<ExitStatus> wait_exit(std::chrono::milliseconds deadline);
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::string admin_socket() const { return directory_ + "/data/run/admin.sock"; }
  [[nodiscard]] std::string log() const;
  // `dormouse ARGS --data-dir ...`; its output and exit code.
  std::pair<int, std::string> run_cli(std::vector<std::string> arguments);

 private:
  void start();
  const HouseSetup setup_;
  std::vector<std::string> environment_;
  std::string directory_;
  std::optional<Subprocess> process_;
  std::optional<ExitStatus> exit_;
  http::Address address_;
  bool up_ = false;
};

// Of any address, together on one loop.
std::vector<Answer> ask_all_of(const http::Address& address, std::vector<Wish> wishes);
Answer ask_of(const http::Address& address, Wish wish);

// False under AddressSanitizer, whose shadow and quarantine are no part of what is measured; prints that it is so.
[[nodiscard]] bool can_judge_memory();

// Waits for a process that is not our child to be gone.
[[nodiscard]] bool process_gone(pid_t pid, std::chrono::milliseconds deadline);

[[nodiscard]] std::vector<std::string> sse_events(const std::string& body);

}  // namespace dormouse::e2e
