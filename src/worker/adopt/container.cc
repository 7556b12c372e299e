#include "worker/adopt/container.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/log.h"

namespace dormouse::worker::adopt {
namespace {

constexpr std::chrono::seconds kProgressInterval{2};
constexpr std::size_t kMaxProgressLine = 200;
// An engine answers within moments; podman's first call after a boot tidies up first.
constexpr std::chrono::seconds kCallDeadline{60};
constexpr int kStopGrace_s = 10;  // of `stop`: SIGTERM to SIGKILL, as both engines have it
constexpr const char* kInsideFolder = "/models";

// What the engine's client needs beyond what any child sees: where its daemon, its storage, its registry's credentials
// and the way out are. None of it reaches the container.
std::vector<std::string> engine_environment(const char* const* ours) {
  constexpr std::array<std::string_view, 13> kNames = {
      "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",    "XDG_DATA_HOME", "DOCKER_HOST", "DOCKER_CONFIG",
      "CONTAINER_HOST",  "REGISTRY_AUTH_FILE", "HTTP_PROXY",    "HTTPS_PROXY", "NO_PROXY",
      "http_proxy",      "https_proxy",        "no_proxy"};
  std::vector<std::string> more;
  for (const char* const* entry = ours; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto is_it = [text](std::string_view name) { return text.substr(0, text.find('=')) == name; };
    if (std::any_of(kNames.begin(), kNames.end(), is_it)) more.emplace_back(text);
  }
  return child_environment(ours, more);
}

std::string path_of(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment) {
    if (entry.starts_with("PATH=")) return entry.substr(std::string_view("PATH=").size());
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

Result<std::string> find_engine(const std::string& wanted, const std::string& path) {
  if (!wanted.empty()) {
    const Result<std::string> found = find_program(wanted, path);
    if (found.has_value() && ::access(found->c_str(), X_OK) == 0) return *found;
    return make_error(Code::kNotFound,
                      fmt::format("--container-engine {}: no such program (PATH is {})", wanted, path));
  }
  for (const char* name : {"podman", "docker"}) {
    if (const Result<std::string> found = find_program(name, path); found.has_value()) return *found;
  }
  return make_error(Code::kNotFound, "no container engine: neither podman nor docker in PATH (" + path +
                                         "); install one (Debian: apt install podman) or say --container-engine PATH");
}

// FNV-1a: short and stable, nothing to do with security.
std::string short_hash(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return fmt::format("{:016x}", hash);
}

// Of the machine's name too: one daemon may serve several.
std::string container_name(const http::Address& door) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = 0;
  return "dormouse-" + short_hash(std::string(host.data()) + " " + door.to_string());
}

struct Mount {
  std::string outside;  // empty: nothing to mount
  std::string inside;
  std::string model;  // what {model} is inside
};

// A file: its folder, since the parts of a split one lie beside it. A folder: itself.
Result<Mount> mount_of(const std::string& model) {
  const bool says_path = model.starts_with('/') || model.starts_with("./") || model.starts_with("../");
  std::error_code ec;
  if (model.empty() || (!says_path && !std::filesystem::exists(model, ec))) return Mount{{}, {}, model};
  const std::filesystem::path path = std::filesystem::absolute(model, ec).lexically_normal();
  if (ec || !std::filesystem::exists(path, ec))
    return make_error(Code::kNotFound, "--model " + model + ": no such file");
  const std::string inside = std::string(kInsideFolder) + "/" + path.filename().string();
  Mount out{path.string(), inside, inside};
  if (!std::filesystem::is_directory(path, ec)) {
    out.outside = path.parent_path().string();
    out.inside = kInsideFolder;
  }
  if (out.outside.find(':') != std::string::npos) {
    return make_error(Code::kInvalidArgument, "--model: '" + out.outside + "' cannot be mounted: it has a colon");
  }
  return out;
}

bool shares_network(const std::vector<std::string>& options) {
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i] == "--network=host" || options[i] == "--net=host") return true;
    const bool is_flag = options[i] == "--network" || options[i] == "--net";
    if (is_flag && i + 1 < options.size() && options[i + 1] == "host") return true;
  }
  return false;
}

}  // namespace

Result<ContainerPlan> plan_container(const AdoptOptions& options, const http::Address& door,
                                     const char* const* environment) {
  ContainerPlan out;
  out.environment = engine_environment(environment);
  TRY(out.engine, find_engine(options.container.engine, path_of(out.environment)));
  out.name = container_name(door);
  out.image = options.container.image;
  out.pull_deadline = options.container.pull_deadline;
  TRY(const Mount mount, mount_of(options.model));
  const bool shares = shares_network(options.container.options);
  AdoptOptions inside = options;
  inside.served_model_name = served_name(options);
  inside.model = mount.model;
  if (!shares) inside.upstream.host = "0.0.0.0";  // of the container's own network; the published port is on loopback
  TRY(const ChildCommand command, expand_command(inside));
  // never: what is not there was pulled before, with progress and an end.
  out.run = {out.engine, "run", "--rm", "--init", "--pull=never", "--name", out.name};
  const auto add = [&out](std::string_view flag, std::string value) {
    out.run.emplace_back(flag);
    out.run.push_back(std::move(value));
  };
  const int port = options.upstream.port;
  if (!shares) add("-p", fmt::format("127.0.0.1:{}:{}", port, port));
  if (!mount.outside.empty()) add("-v", mount.outside + ":" + mount.inside + ":ro");
  for (const std::string& entry : command.environment) add("-e", entry);
  out.run.insert(out.run.end(), options.container.options.begin(), options.container.options.end());
  out.run.push_back(out.image);
  out.run.insert(out.run.end(), command.argv.begin(), command.argv.end());
  return out;
}

Error container_death(const ContainerPlan& plan, std::string message, const std::string& last_words) {
  if (!last_words.empty()) message += "; its last words:\n" + last_words;
  for (const std::string_view taken : {"ddress already in use", "port is already allocated"}) {
    if (last_words.find(taken) == std::string::npos) continue;
    return make_error(Code::kAlreadyExists, "the port of container " + plan.name + " is taken: " + message);
  }
  return make_error(Code::kUnavailable, std::move(message));
}

std::string PullProgress::take(std::string_view text, MonoTime now) {
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      line_ended_ = true;
      continue;
    }
    if (std::exchange(line_ended_, false)) line_.clear();
    const bool is_plain = c >= ' ' && c < 127 && c != '"';
    if (is_plain && line_.size() < kMaxProgressLine) line_ += c;
  }
  if (line_.empty() || (told_any_ && now - told_ < kProgressInterval)) return {};
  told_any_ = true;
  told_ = now;
  return line_;
}

// One call of the engine, to its end, the deadline's or ours.
Task<Result<Container::Answer>> Container::ask(std::vector<std::string> words, std::chrono::milliseconds deadline,
                                               Output output) {
  const auto wake = std::make_shared<asio::steady_timer>(io_);
  const auto ended = std::make_shared<std::optional<ExitStatus>>();
  const std::string what = plan_.engine + " " + words.front();
  ChildOptions options;
  options.argv = std::move(words);
  options.argv.insert(options.argv.begin(), plan_.engine);
  options.environment = plan_.environment;
  ChildEvents events;
  events.on_output = std::move(output);
  events.on_exit = [wake, ended](ExitStatus status) {
    *ended = status;
    wake->cancel();
  };
  CO_TRY(const std::unique_ptr<Child> child, Child::start(io_, std::move(options), std::move(events)));
  wake->expires_after(deadline);
  waiting_ = wake;
  const auto [ec] = co_await wake->async_wait(kTuple);
  if (ended->has_value()) co_return Answer{**ended, child->last_words()};
  if (ec) co_return make_error(Code::kCancelled, what + ": given up");
  co_return make_error(Code::kDeadlineExceeded, fmt::format("{} has not come to an end in {} ms; its last words:\n{}",
                                                            what, deadline.count(), child->last_words()));
}

Task<Status> Container::pull() {
  log_info("event=pull image={}", plan_.image);
  const auto progress = std::make_shared<PullProgress>();
  Output output = [progress, clock = &clock_, image = plan_.image](std::string_view text) {
    if (const std::string line = progress->take(text, clock->now()); !line.empty()) {
      log_info("event=pull_progress image={} said=\"{}\"", image, line);
    }
  };
  std::vector<std::string> words = {"pull", plan_.image};
  CO_TRY(const Answer answer, co_await ask(std::move(words), plan_.pull_deadline, std::move(output)));
  if (answer.status.exit_code == 0) co_return Status{};
  co_return make_error(Code::kUnavailable,
                       fmt::format("image {} is not here and {} cannot pull it; without a network it must be loaded "
                                   "first ({} load -i FILE); its last words:\n{}",
                                   plan_.image, plan_.engine, plan_.engine, answer.words));
}

Task<Status> Container::prepare() {
  const Output quiet;
  std::vector<std::string> remove = {"rm", "-f", plan_.name};
  // Nothing there is an error to one engine and none to the other; a name that stays taken is told by `run`.
  CO_TRY([[maybe_unused]] const Answer removed, co_await ask(std::move(remove), kCallDeadline, quiet));
  if (is_ending_) co_return make_error(Code::kCancelled, "ended");
  std::vector<std::string> look = {"image", "inspect", plan_.image};
  CO_TRY(const Answer found, co_await ask(std::move(look), kCallDeadline, quiet));
  if (is_ending_) co_return make_error(Code::kCancelled, "ended");
  if (found.status.exit_code == 0) co_return Status{};
  is_pulling_ = true;
  Status pulled = co_await pull();
  is_pulling_ = false;
  co_return pulled;
}

Task<void> Container::end() {
  const Output quiet;
  interrupt();
  is_ending_ = true;
  if (was_run_ && !is_hurried_) {
    std::vector<std::string> stop = {"stop", "-t", std::to_string(kStopGrace_s), plan_.name};
    is_patient_ = true;
    co_await ask(std::move(stop), kCallDeadline, quiet);
    is_patient_ = false;
  }
  if (was_run_ && is_hurried_) {  // podman's rm -f is patient with a container that ignores SIGTERM
    std::vector<std::string> kill_it = {"kill", plan_.name};
    co_await ask(std::move(kill_it), kCallDeadline, quiet);
  }
  if (was_run_) {
    std::vector<std::string> remove = {"rm", "-f", plan_.name};
    const Result<Answer> removed = co_await ask(std::move(remove), kCallDeadline, quiet);
    if (!removed.has_value())
      log_error("event=container_left name={} error=\"{}\"", plan_.name, removed.error().message);
  }
  is_over_ = true;
}

void Container::hurry() {
  if (!std::exchange(is_hurried_, true) && is_patient_) interrupt();
}

void Container::interrupt() {
  if (const std::shared_ptr<asio::steady_timer> waiting = waiting_.lock(); waiting != nullptr) waiting->cancel();
}

}  // namespace dormouse::worker::adopt
