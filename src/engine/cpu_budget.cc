#include "engine/cpu_budget.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <string_view>

namespace dormouse::engine {
namespace {

std::optional<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// The first integer of the text, after blanks; advances past it.
std::optional<std::int64_t> take_integer(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<double> ratio(std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

// v2: "max 100000" or "150000 100000".
std::optional<double> quota_v2(const std::string& directory) {
  const std::optional<std::string> text = read_text(directory + "/cpu.max");
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  const std::optional<std::int64_t> quota = take_integer(rest);
  return ratio(quota, take_integer(rest));
}

// v1: two files; quota -1 is none.
std::optional<double> quota_v1(const std::string& directory) {
  const std::optional<std::string> quota = read_text(directory + "/cpu.cfs_quota_us");
  const std::optional<std::string> period = read_text(directory + "/cpu.cfs_period_us");
  if (!quota || !period) return std::nullopt;
  std::string_view quota_rest = *quota;
  std::string_view period_rest = *period;
  return ratio(take_integer(quota_rest), take_integer(period_rest));
}

void keep_smaller(std::optional<double>& best, std::optional<double> candidate) {
  if (candidate && (!best || *candidate < *best)) best = candidate;
}

// Visits `path` below `mount` and every ancestor up to the mount itself.
void walk_up(std::optional<double>& best, const std::string& mount, std::string_view path,
             std::optional<double> (*read)(const std::string&)) {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  while (true) {
    std::string directory = mount;
    directory.append(path);
    keep_smaller(best, read(directory));
    if (path.empty()) return;
    path = path.substr(0, path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/'));
  }
}

bool lists_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return true;
    if (comma == std::string_view::npos) return false;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

std::optional<double> read_cpu_quota(const std::string& root, const std::string& membership) {
  std::optional<double> best;
  std::string_view rest = membership;
  while (!rest.empty()) {
    const std::size_t newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
    // hierarchy:controllers:path
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (controllers.empty()) {
      walk_up(best, root, path, quota_v2);
      walk_up(best, root + "/unified", path, quota_v2);
    } else if (lists_cpu(controllers)) {
      walk_up(best, root + "/" + std::string(controllers), path, quota_v1);
      if (controllers != "cpu") walk_up(best, root + "/cpu", path, quota_v1);
    }
  }
  return best;
}

std::int32_t CpuBudget::threads() const {
  std::int32_t out = affinity;
  if (quota) out = std::min(out, static_cast<std::int32_t>(std::ceil(std::min(*quota, 1e6))));
  return std::max(out, 1);
}

CpuBudget read_cpu_budget() {
  CpuBudget out;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) == 0) out.affinity = std::max(1, CPU_COUNT(&mask));
  out.quota = read_cpu_quota("/sys/fs/cgroup", read_text("/proc/self/cgroup").value_or(""));
  return out;
}

}  // namespace dormouse::engine
