// Goal: what is said of processes, machine and GPUs is what the system said. Method: a /proc and a control group made
// of files, an NVML made of a few lines of C (nvml_fixture_test.cc), and this very process under the real /proc.
#include "gateway/vitals_sampler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/ids.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

class VitalsTest : public testing::Test {
 protected:
  VitalsTest() : root_(fs::temp_directory_path() / ("dormouse-vitals-" + random_hex(6))) {
    fs::create_directories(root_ / "cgroup/pod/dormouse");
    machine(1'000, 9'000);
    write("proc/meminfo", "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    8000 kB\n");
    write("proc/self/cgroup", "1:name=systemd:/x\n0::/pod/dormouse\n");
    write("cgroup/pod/dormouse/memory.current", "123456789\n");
    write("proc/pressure/cpu", "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\n");
    write("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00\n");
  }
  ~VitalsTest() override {
    std::error_code ec;
    fs::remove_all(root_, ec);
  }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  // Busy and idle ticks of a machine of two cores.
  void machine(int busy, int idle) {
    write("proc/stat", "cpu  " + std::to_string(busy) + " 0 0 " + std::to_string(idle) +
                           " 0 0 0 0 77 0\ncpu0 1 0 0 1 0 0 0 0 0 0\ncpu1 1 0 0 1 0 0 0 0 0 0\nintr 5\n");
  }
  void process(pid_t pid, pid_t parent, int user, int system, int waited_for, int pages, std::string name = "w") {
    write("proc/" + std::to_string(pid) + "/stat",
          std::to_string(pid) + " (" + name + ") S " + std::to_string(parent) + " 1 1 0 -1 0 0 0 0 0 " +
              std::to_string(user) + " " + std::to_string(system) + " " + std::to_string(waited_for) +
              " 0 20 0 1 0 100 999999 " + std::to_string(pages) + " 18446744073709551615 1 1\n");
  }
  VitalsSources sources(std::string nvml = "no-such-library.so") {
    return {.proc = root_ / "proc", .cgroup = root_ / "cgroup", .nvml = std::move(nvml)};
  }
  fs::path root_;
  ManualClock clock_;
};

TEST_F(VitalsTest, AnInstanceIsItsWholeProcessTree) {
  VitalsSampler sampler(clock_, sources());
  process(100, 1, 50, 50, 0, 10, "a) S 1 (b");  // a name that looks like fields
  process(101, 100, 100, 0, 0, 20);
  process(102, 101, 0, 0, 0, 30);
  process(200, 1, 9'999, 0, 0, 9'999);
  const std::vector<SampledInstance> instances{{"i", "chat", 100}, {"gone", "chat", 300}};
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  Vitals first = sampler.sample(instances);
  ASSERT_TRUE(first.instances.contains("i"));
  EXPECT_FALSE(first.instances.contains("gone")) << "no process, no numbers";
  EXPECT_EQ(first.instances["i"].resident_bytes, 60 * page);
  EXPECT_FALSE(first.instances["i"].cpu_cores.has_value()) << "nothing to compare with yet";
  clock_.advance(seconds(10));
  // 101 ended and was waited for: its 100 ticks and 900 more are its parent's now. 102 used 500.
  fs::remove_all(root_ / "proc/101");
  process(100, 1, 50, 50, 1'000, 10);
  process(102, 100, 500, 0, 0, 30);
  Vitals second = sampler.sample(instances);
  ASSERT_TRUE(second.instances["i"].cpu_cores.has_value());
  EXPECT_NEAR(*second.instances["i"].cpu_cores, 1'400.0 / static_cast<double>(::sysconf(_SC_CLK_TCK)) / 10, 1e-9);
  EXPECT_EQ(second.instances["i"].resident_bytes, 40 * page);
}

TEST_F(VitalsTest, TheMachineAndItsPressure) {
  VitalsSampler sampler(clock_, sources());
  const Vitals first = sampler.sample({});
  EXPECT_FALSE(first.machine_cpu.has_value());
  machine(1'300, 9'700);
  const Vitals second = sampler.sample({});
  EXPECT_NEAR(*second.machine_cpu, 0.3, 1e-9);
  EXPECT_EQ(second.machine_cores, 2);
  EXPECT_EQ(second.memory_available_bytes, 8'000 * 1'024);
  EXPECT_EQ(second.cgroup_memory_bytes, 123'456'789);
  EXPECT_NEAR(*second.cpu_pressure, 0.125, 1e-9);
  EXPECT_EQ(second.memory_pressure, 0.0);
  EXPECT_TRUE(second.gpus.empty());
  sampler.rest();
  EXPECT_FALSE(sampler.sample({}).machine_cpu.has_value()) << "what was before a sleep is no period";
}

TEST_F(VitalsTest, WhatIsNotThereIsAbsent) {
  VitalsSources nowhere = sources();
  nowhere.proc = root_ / "nothing";
  VitalsSampler sampler(clock_, nowhere);
  sampler.sample({{"i", "chat", 100}});
  const Vitals out = sampler.sample({{"i", "chat", 100}});
  EXPECT_TRUE(out.instances.empty());
  EXPECT_EQ(out.machine_cores, 0);
  EXPECT_FALSE(out.machine_cpu.has_value());
  EXPECT_FALSE(out.memory_available_bytes.has_value());
  EXPECT_FALSE(out.cgroup_memory_bytes.has_value());
  EXPECT_FALSE(out.cpu_pressure.has_value());
  for (const char* damaged : {"", "(", "1 (x)", "1 (x) S", "1 (x) S 1 2 3", "1 (x) S a b c d e f"}) {
    write("proc/100/stat", damaged);
    write("proc/stat", damaged);
    write("proc/meminfo", "MemAvailable:\nMemAvailable: x kB");
    write("proc/pressure/cpu", "some avg10=");
    VitalsSampler again(clock_, sources());
    const Vitals nothing = again.sample({{"i", "chat", 100}});
    EXPECT_TRUE(nothing.instances.empty()) << damaged;
    EXPECT_FALSE(nothing.memory_available_bytes.has_value());
    EXPECT_FALSE(nothing.cpu_pressure.has_value());
  }
}

TEST_F(VitalsTest, ThisVeryProcess) {
  VitalsSources real;
  real.nvml = "no-such-library.so";
  const SystemClock clock;
  VitalsSampler sampler(clock, real);
  const std::vector<SampledInstance> self{{"self", "test", ::getpid()}};
  sampler.sample(self);
  const MonoTime until = clock.now() + std::chrono::milliseconds(300);
  volatile std::uint64_t work = 0;
  while (clock.now() < until) work = work + 1;
  Vitals out = sampler.sample(self);
  ASSERT_TRUE(out.instances["self"].cpu_cores.has_value());
  EXPECT_GT(*out.instances["self"].cpu_cores, 0.02);
  EXPECT_LT(*out.instances["self"].cpu_cores, 64);
  EXPECT_GT(*out.instances["self"].resident_bytes, 1 << 20);
  EXPECT_GE(out.machine_cores, 1);
}

TEST_F(VitalsTest, GpusAreAsNvmlSays) {
  ASSERT_EQ(::setenv("TEST_NVML_LOG", (root_ / "nvml.log").c_str(), 1), 0);
  {
    VitalsSampler sampler(clock_, sources(TEST_NVML));
    const Vitals out = sampler.sample({});
    ASSERT_EQ(out.gpus.size(), 2U) << "the one that fails is left out";
    EXPECT_EQ(out.gpus[0].index, 0);
    EXPECT_EQ(out.gpus[0].name, "Test GPU 0");
    EXPECT_NEAR(out.gpus[0].busy, 0.42, 1e-9);
    EXPECT_EQ(out.gpus[0].memory_used_bytes, 3'000'000'000);
    EXPECT_EQ(out.gpus[0].memory_total_bytes, 16'000'000'000);
    EXPECT_EQ(out.gpus[1].index, 2);
    sampler.sample({});
    sampler.rest();
    sampler.sample({});
  }
  ::unsetenv("TEST_NVML_LOG");
  std::ifstream log(root_ / "nvml.log");
  std::string text{std::istreambuf_iterator<char>(log), std::istreambuf_iterator<char>()};
  EXPECT_EQ(text, "init\nshutdown\ninit\nshutdown\n") << "loaded once while awake, let go of in between";
}

TEST_F(VitalsTest, ALibraryWithoutWhatIsAskedOfItIsNoNvml) {
  EXPECT_EQ(Nvml::open("libm.so.6"), nullptr);
  EXPECT_EQ(Nvml::open(""), nullptr) << "this program itself";
}

}  // namespace
}  // namespace dormouse::gateway
