#include "cli/worker_doctor.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>

#include "base/subprocess.h"
#include "base/unique_fd.h"

namespace dormouse::cli {
namespace {

// A driver that has to start its card takes some seconds.
constexpr int kDeadlineMs = 15'000;
constexpr std::size_t kMostBytes = 64U << 10;

Error not_an_answer() {
  return make_error(Code::kInternal, "`dormouse-worker doctor --json` gave no answer: is it of another version?");
}

// Until the worker closes its end, says too much, or is silent for too long.
Result<std::string> read_all(int fd) {
  std::string out(kMostBytes, '\0');
  std::size_t used = 0;
  while (used < out.size()) {
    pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&readable, 1, kDeadlineMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return make_error(Code::kDeadlineExceeded, "the GPU's driver does not answer");
    const ssize_t count = ::read(fd, out.data() + used, out.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    used += static_cast<std::size_t>(count);
  }
  out.resize(used);
  return out;
}

std::string text_of(const boost::json::object& object, std::string_view key) {
  const boost::json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool flag_of(const boost::json::object& object, std::string_view key) {
  const boost::json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

}  // namespace

Result<WorkerGpus> parse_worker_gpus(std::string_view json) {
  boost::system::error_code ec;
  const boost::json::value value = boost::json::parse(json, ec);
  if (ec || !value.is_object()) return not_an_answer();
  const boost::json::object& object = value.get_object();
  const boost::json::value* const gpus = object.if_contains("gpus");
  if (gpus == nullptr || !gpus->is_array()) return not_an_answer();
  WorkerGpus out{.kernels_for = text_of(object, "kernels_for"),
                 .driver = text_of(object, "driver"),
                 .problem = text_of(object, "problem"),
                 .gpus = {}};
  for (const boost::json::value& each : gpus->get_array()) {
    if (!each.is_object()) return not_an_answer();
    const boost::json::object& gpu = each.get_object();
    const boost::json::value* const bytes = gpu.if_contains("memory_bytes");
    boost::system::error_code not_a_number;
    const std::int64_t memory = bytes != nullptr ? bytes->to_number<std::int64_t>(not_a_number) : 0;
    out.gpus.push_back({.name = text_of(gpu, "name"),
                        .compute = text_of(gpu, "compute"),
                        .memory_bytes = not_a_number ? 0 : memory,
                        .has_kernels = flag_of(gpu, "has_kernels"),
                        .is_tested = flag_of(gpu, "is_tested"),
                        .is_sampling_tested = flag_of(gpu, "is_sampling_tested"),
                        .untested_paths = text_of(gpu, "untested_paths")});
  }
  return out;
}

Result<WorkerGpus> ask_worker(const std::string& worker, const std::vector<std::string>& environment) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("a pipe", errno);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  TRY(const Subprocess process, Subprocess::spawn({.argv = {worker, "doctor", "--json"},
                                                   .environment = environment,
                                                   .output_fd = writing.get(),
                                                   .error_fd = nowhere.get()}));
  writing.reset();
  const Result<std::string> answer = read_all(reading.get());
  if (!answer.has_value()) return answer.error();
  return parse_worker_gpus(*answer);
}

}  // namespace dormouse::cli
