#include "e2e/running_house.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "base/ids.h"
#include "base/unique_fd.h"
#include "http/sse.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kStart{20'000};
constexpr milliseconds kStep{5};

void pause_for(milliseconds step) {
  asio::io_context io{1};
  asio::steady_timer timer(io, step);
  timer.async_wait([](const boost::system::error_code&) {});
  io.run();
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

Task<void> run_wish(http::Client& client, http::Address address, Wish wish, Answer& out) {
  http::ClientRequest request;
  request.method = wish.method;
  request.target = wish.target;
  request.body = wish.body;
  for (const auto& [name, value] : wish.headers) request.headers.set(name, value);
  Result<std::unique_ptr<http::ClientResponse>> response = co_await client.send(std::move(address), std::move(request));
  if (!response.has_value()) co_return;
  out.status = (*response)->status();
  out.headers = (*response)->headers();
  while (true) {
    Result<std::optional<std::string>> piece = co_await (*response)->read_some();
    if (!piece.has_value()) co_return;
    if (!piece->has_value()) break;
    out.body += **piece;
    if (wish.on_piece && !wish.on_piece(**piece)) co_return;  // ~ClientResponse closes the connection
  }
  out.whole = true;
}

// A report in a child's log must fail the test that started it, whatever the caller got.
void expect_no_sanitizer_report(const std::string& path) {
  const std::string text = read_file(path);
  for (const char* sign : {"Sanitizer:", "runtime error:"}) {
    const std::size_t at = text.find(sign);
    if (at != std::string::npos) ADD_FAILURE() << path << ":\n" << text.substr(at > 200 ? at - 200 : 0, 6'000);
  }
}

std::vector<std::string> worker_environment() {
  std::vector<std::string> out{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  // A sanitizer's options and a named crash point go through.
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "DORMOUSE_CRASHPOINT"}) {
    if (const char* value = std::getenv(name)) out.push_back(fmt::format("{}={}", name, value));
  }
  return out;
}

}  // namespace

RunningHouse::RunningHouse(HouseSetup setup) : setup_(std::move(setup)) {
  directory_ = setup_.data_dir.empty() ? (fs::temp_directory_path() / ("dormouse-e2e-" + random_hex(4))).string()
                                       : setup_.data_dir;
  fs::create_directories(directory_);
  if (!setup_.config.empty()) {
    fs::create_directories(directory_ + "/data");
    std::ofstream(directory_ + "/data/dormouse.toml") << setup_.config;
  }
  start();
}

void RunningHouse::start() {
  SubprocessOptions options;
  options.argv = {E2E_DORMOUSE,     "serve",
                  "--listen",       "127.0.0.1:0",
                  "--data-dir",     directory_ + "/data",
                  "--idle-timeout", setup_.idle_timeout,
                  "--worker",       setup_.worker.empty() ? E2E_FAKE_WORKER : setup_.worker};
  for (const auto& [name, behaviour] : setup_.fakes) {
    const std::string file = fmt::format("{}/{}.gguf", directory_, name);
    std::ofstream(file) << "fake:" << behaviour;
    options.argv.insert(options.argv.end(), {"--model", file, "--name", name});
  }
  options.argv.insert(options.argv.end(), setup_.extra.begin(), setup_.extra.end());
  options.environment = setup_.environment;
  options.environment.insert(options.environment.end(), environment_.begin(), environment_.end());
  for (std::string& entry : worker_environment()) {
    const std::string name = entry.substr(0, entry.find('=') + 1);
    const auto is_it = [&name](const std::string& given) { return given.starts_with(name); };
    if (std::none_of(setup_.environment.begin(), setup_.environment.end(), is_it)) options.environment.push_back(entry);
  }
  const UniqueFd log(::open((directory_ + "/serve.log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  options.output_fd = log.get();
  Result<Subprocess> process = Subprocess::spawn(options);
  if (!process.has_value()) return;
  process_.emplace(*std::move(process));
  const Result<http::Address> admin = http::Address::parse("unix:" + admin_socket());
  up_ = eventually(kStart, [this, &admin] {
    if (wait_exit(milliseconds(0)).has_value()) return true;
    const Answer answer =
        ask_of(*admin, {.method = "GET", .target = "/admin/v1/status", .body = {}, .headers = {}, .on_piece = {}});
    const Result<gateway::StatusView> status = gateway::parse_status(answer.body);
    if (!status.has_value() || status->listen.empty()) return false;
    address_ = *http::Address::parse(status->listen.front());
    return true;
  });
  up_ = up_ && !exit_.has_value();
}

RunningHouse::~RunningHouse() {
  if (process_.has_value() && !exit_.has_value()) {
    signal(SIGTERM);
    signal(SIGTERM);  // twice: in a hurry
    wait_exit(milliseconds(10'000));
  }
  process_.reset();
  std::error_code ec;
  expect_no_sanitizer_report(directory_ + "/serve.log");
  for (const fs::directory_entry& file : fs::directory_iterator(directory_ + "/data/logs", ec)) {
    expect_no_sanitizer_report(file.path().string());
  }
  fs::remove_all(directory_, ec);
}

bool RunningHouse::restart(int how) {
  signal(how);
  signal(how);
  if (!wait_exit(milliseconds(20'000)).has_value()) return false;
  return start_again();
}

bool RunningHouse::start_again() {
  process_.reset();
  exit_.reset();
  start();
  return up_;
}

Answer RunningHouse::ask(Wish wish) {
  return ask_of(address_, std::move(wish));
}

std::vector<Answer> RunningHouse::ask_all(std::vector<Wish> wishes) {
  return ask_all_of(address_, std::move(wishes));
}

Answer RunningHouse::post(const std::string& target, const std::string& body) {
  Wish wish;
  wish.method = "POST";
  wish.target = target;
  wish.body = body;
  return ask(std::move(wish));
}

Answer RunningHouse::send(const std::string& method, const std::string& target, const std::string& body) {
  Wish wish;
  wish.method = method;
  wish.target = target;
  wish.body = body;
  return ask(std::move(wish));
}

Answer RunningHouse::get(const std::string& target) {
  Wish wish;
  wish.target = target;
  return ask(std::move(wish));
}

gateway::DeploymentView RunningHouse::deployment(const std::string& name) {
  return gateway::parse_deployment(get("/admin/v1/deployments/" + name).body).value_or(gateway::DeploymentView{});
}

std::vector<ledger::RequestRow> RunningHouse::rows() {
  return gateway::parse_requests(get("/admin/v1/requests?limit=10000").body).value_or(ledger::RequestPage{}).rows;
}

std::int64_t RunningHouse::metric(const std::string& name_and_labels) {
  const std::string text = get("/metrics").body;
  const std::string wanted = "\n" + name_and_labels + " ";
  const std::size_t at = text.find(wanted);
  std::int64_t value = -1;
  if (at != std::string::npos) {
    std::from_chars(text.data() + at + wanted.size(), text.data() + text.size(), value);
  }
  return value;
}

std::int64_t RunningHouse::resident_bytes() {
  const Result<gateway::StatusView> status = gateway::parse_status(get("/admin/v1/status").body);
  return status.has_value() ? status->resident_bytes : 0;
}

bool RunningHouse::eventually(milliseconds deadline, const std::function<bool()>& predicate) {
  const SystemClock clock;
  const MonoTime end = clock.now() + deadline;
  while (!predicate()) {
    if (clock.now() > end) return false;
    pause_for(kStep);
  }
  return true;
}

pid_t RunningHouse::pid() const {
  return process_.has_value() ? process_->pid() : -1;
}

// Never once it has been waited for: its pid is -1 then, and kill() takes that for every process there is.
void RunningHouse::signal(int number) {
  if (pid() > 0) ::kill(pid(), number);
}

std::optional<ExitStatus> RunningHouse::wait_exit(milliseconds deadline) {
  if (exit_.has_value() || !process_.has_value()) return exit_;
  pollfd watched{.fd = process_->pidfd(), .events = POLLIN, .revents = 0};
  ::poll(&watched, 1, static_cast<int>(deadline.count()));
  const Result<ExitStatus> status = process_->try_wait();
  if (status.has_value()) exit_ = *status;
  return exit_;
}

std::string RunningHouse::log() const {
  return read_file(directory_ + "/serve.log");
}

std::pair<int, std::string> RunningHouse::run_cli(std::vector<std::string> arguments) {
  const std::string path = directory_ + "/cli.out";
  const UniqueFd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600));
  SubprocessOptions options;
  options.argv = {E2E_DORMOUSE};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.argv.insert(options.argv.end(), {"--data-dir", directory_ + "/data"});
  options.environment = worker_environment();
  options.output_fd = file.get();
  Result<Subprocess> child = Subprocess::spawn(options);
  if (!child.has_value()) return {-1, child.error().message};
  pollfd watched{.fd = child->pidfd(), .events = POLLIN, .revents = 0};
  ::poll(&watched, 1, 60'000);
  const Result<ExitStatus> status = child->try_wait();
  return {status.has_value() ? status->exit_code : -1, read_file(path)};
}

std::vector<Answer> ask_all_of(const http::Address& address, std::vector<Wish> wishes) {
  asio::io_context io{1};
  std::vector<Answer> out(wishes.size());
  {
    http::Client client(io);
    for (std::size_t i = 0; i < wishes.size(); ++i) {
      asio::co_spawn(io, run_wish(client, address, std::move(wishes[i]), out[i]), asio::detached);
    }
    io.run();
  }
  return out;
}

Answer ask_of(const http::Address& address, Wish wish) {
  std::vector<Wish> one;
  one.push_back(std::move(wish));
  return ask_all_of(address, std::move(one)).front();
}

bool can_judge_memory() {
#ifdef __SANITIZE_ADDRESS__
  fmt::print("not judged here: memory in use (AddressSanitizer adds its own)\n");
  return false;
#else
  return true;
#endif
}

bool process_gone(pid_t pid, milliseconds deadline) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
  if (!fd.is_open()) return true;
  pollfd watched{.fd = fd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, static_cast<int>(deadline.count())) == 1;
}

std::vector<std::string> sse_events(const std::string& body) {
  http::SseParser parser;
  parser.push(body);
  std::vector<std::string> out;
  while (auto event = parser.next()) out.push_back(event->data);
  return out;
}

}  // namespace dormouse::e2e
