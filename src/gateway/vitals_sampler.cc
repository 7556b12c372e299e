#include "gateway/vitals_sampler.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <utility>

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;

struct Process {
  pid_t parent = 0;
  std::uint64_t ticks = 0;  // its own, and those of children it has waited for
  std::int64_t resident_pages = 0;
};

std::optional<std::string> read_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// proc(5): "PID (NAME) STATE PPID ...". The name is the program's own choice, parentheses and spaces too: what counts
// begins after the last one.
std::optional<Process> parse_stat(const std::string& text) {
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state;
  Process out;
  fields >> state >> out.parent;
  std::uint64_t field = 0;
  constexpr int kUserTime = 14;  // numbered as in the manual; the parent is 4
  constexpr int kChildrensSystemTime = 17;
  constexpr int kResident = 24;
  for (int i = 5; i < kResident && fields >> field; ++i) {
    if (i >= kUserTime && i <= kChildrensSystemTime) out.ticks += field;
  }
  fields >> out.resident_pages;
  return fields ? std::optional<Process>(out) : std::nullopt;
}

std::map<pid_t, Process> read_processes(const std::string& proc) {
  std::map<pid_t, Process> out;
  std::error_code ec;
  for (fs::directory_iterator it(proc, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    const std::optional<pid_t> pid = number<pid_t>(name);
    if (!pid.has_value()) continue;
    const std::optional<std::string> text = read_text(it->path().string() + "/stat");
    const std::optional<Process> process = text.has_value() ? parse_stat(*text) : std::nullopt;
    if (process.has_value()) out[*pid] = *process;
  }
  return out;
}

bool descends_from(const std::map<pid_t, Process>& all, pid_t pid, pid_t ancestor) {
  // Processes come and go while they are read: a ring is possible, an endless one is not.
  for (int depth = 0; depth < 64; ++depth) {
    if (pid == ancestor) return true;
    const auto found = all.find(pid);
    if (found == all.end() || found->second.parent <= 0) return false;
    pid = found->second.parent;
  }
  return false;
}

}  // namespace

Vitals VitalsSampler::sample(const std::vector<SampledInstance>& instances) {
  Vitals out;
  read_machine(out);
  if (!instances.empty()) read_instances(instances, out);
  if (!has_tried_nvml_) nvml_ = Nvml::open(sources_.nvml);
  has_tried_nvml_ = true;
  if (nvml_ != nullptr) out.gpus = nvml_->read();
  return out;
}

void VitalsSampler::rest() {
  nvml_.reset();
  has_tried_nvml_ = false;
  machine_.reset();
  counted_.clear();
}

void VitalsSampler::read_machine(Vitals& out) {
  std::istringstream stat(read_text(sources_.proc + "/stat").value_or(""));
  CpuTicks now;
  for (std::string line; std::getline(stat, line) && line.starts_with("cpu");) {
    if (line.size() > 3 && line[3] != ' ') {
      ++out.machine_cores;
      continue;
    }
    std::istringstream fields(line.substr(3));
    std::uint64_t ticks = 0;
    // user nice system idle iowait irq softirq steal; guests are in user already.
    for (int i = 0; i < 8 && fields >> ticks; ++i) {
      now.all += ticks;
      if (i != 3 && i != 4) now.busy += ticks;
    }
  }
  if (machine_.has_value() && now.all > machine_->all && now.busy >= machine_->busy) {
    out.machine_cpu = static_cast<double>(now.busy - machine_->busy) / static_cast<double>(now.all - machine_->all);
  }
  if (now.all > 0) machine_ = now;
  std::istringstream memory(read_text(sources_.proc + "/meminfo").value_or(""));
  for (std::string line; std::getline(memory, line);) {
    constexpr std::string_view kKey = "MemAvailable:";
    if (!line.starts_with(kKey)) continue;
    const std::size_t digit = line.find_first_of("0123456789");
    if (digit == std::string::npos) break;
    const auto kilobytes = number<std::int64_t>(std::string_view(line).substr(digit));
    if (kilobytes.has_value()) out.memory_available_bytes = *kilobytes * 1024;
  }
  out.cgroup_memory_bytes = cgroup_memory();
  out.cpu_pressure = pressure("cpu");
  out.memory_pressure = pressure("memory");
}

// Of version 2: "0::/PATH".
std::optional<std::int64_t> VitalsSampler::cgroup_memory() const {
  std::istringstream groups(read_text(sources_.proc + "/self/cgroup").value_or(""));
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    const std::optional<std::string> text = read_text(sources_.cgroup + line.substr(3) + "/memory.current");
    return text.has_value() ? number<std::int64_t>(*text) : std::nullopt;
  }
  return std::nullopt;
}

// "some avg10=1.50 avg60=...": per cent.
std::optional<double> VitalsSampler::pressure(const std::string& of) const {
  const std::optional<std::string> text = read_text(sources_.proc + "/pressure/" + of);
  constexpr std::string_view kBegin = "some avg10=";
  if (!text.has_value() || !text->starts_with(kBegin)) return std::nullopt;
  const std::optional<double> percent = number<double>(std::string_view(*text).substr(kBegin.size()));
  return percent.has_value() ? std::optional<double>(*percent / 100) : std::nullopt;
}

void VitalsSampler::read_instances(const std::vector<SampledInstance>& instances, Vitals& out) {
  const std::map<pid_t, Process> all = read_processes(sources_.proc);
  const MonoTime now = clock_.now();
  const auto ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  std::map<std::string, Counted> counted;
  for (const SampledInstance& instance : instances) {
    if (!all.contains(instance.pid)) continue;
    InstanceVitals& vitals = out.instances[instance.instance_id];
    vitals.deployment = instance.deployment;
    std::int64_t resident = 0;
    Counted sum{.ticks = 0, .at = now};
    for (const auto& [pid, process] : all) {
      if (!descends_from(all, pid, instance.pid)) continue;
      sum.ticks += process.ticks;
      resident += process.resident_pages * page;
    }
    vitals.resident_bytes = resident;
    const auto before = counted_.find(instance.instance_id);
    if (before != counted_.end() && now > before->second.at && sum.ticks >= before->second.ticks) {
      const double seconds = static_cast<double>((now - before->second.at).count()) / 1e9;
      vitals.cpu_cores = static_cast<double>(sum.ticks - before->second.ticks) / ticks_per_second / seconds;
    }
    counted[instance.instance_id] = sum;
  }
  counted_ = std::move(counted);
}

}  // namespace dormouse::gateway
