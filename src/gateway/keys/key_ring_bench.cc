// T-61: can somebody without a key tell by the clock whether a kid exists, or how near a secret is? Samples of each
// kind in random order, means, and Welch's t between kinds after the slowest tenth (interrupts) is cut off; below 4.5
// is what leakage assessments call no separation. Argument: samples a kind, 1,000,000. Not a test: a busy machine has
// noise.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <random>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "gateway/keys/key_format.h"
#include "gateway/keys/key_ring.h"

namespace dormouse::gateway {
namespace {

constexpr std::array kKinds = {"unknown kid", "wrong secret", "wrong secret, revoked kid", "right key"};

struct Moments {
  double mean = 0;
  double variance = 0;
  double count = 0;
};

Moments moments_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  samples.resize(samples.size() * 9 / 10);
  Moments out;
  out.count = static_cast<double>(samples.size());
  for (const double s : samples) out.mean += s / out.count;
  for (const double s : samples) out.variance += (s - out.mean) * (s - out.mean) / (out.count - 1);
  return out;
}

double welch_t(const Moments& a, const Moments& b) {
  return (a.mean - b.mean) / std::sqrt(a.variance / a.count + b.variance / b.count);
}

std::string make(KeyRing& ring) {
  KeyWish wish;
  wish.name = "k";
  KeyDraft draft = ring.draft_create(wish, nullptr).value();
  ring.adopt(draft.write.rows);
  return draft.key;
}

void run(std::size_t samples) {
  const SystemClock clock;
  const std::filesystem::path directory = std::filesystem::temp_directory_path() / ("key_ring_bench-" + random_hex(4));
  std::filesystem::create_directories(directory);
  KeyRing ring = KeyRing::open(clock, (directory / "keys.pepper").string(), {}).value();
  for (int i = 0; i < 100; ++i) make(ring);
  const std::string good = make(ring);
  const std::string revoked = make(ring);
  ring.adopt(ring.draft_revoke(*kid_of(revoked), Children::kKeep, nullptr)->write.rows);
  std::array<std::vector<double>, kKinds.size()> times;
  std::mt19937_64 random(1);
  std::size_t let_in = 0;
  for (std::size_t i = 0; i < samples * kKinds.size(); ++i) {
    const std::size_t kind = random() % kKinds.size();
    const std::string key = kind == 0   ? make_key(Scope::kInference, make_kid())
                            : kind == 1 ? make_key(Scope::kInference, *kid_of(good))
                            : kind == 2 ? make_key(Scope::kInference, *kid_of(revoked))
                                        : good;
    const auto begin = std::chrono::steady_clock::now();
    const KeyVerdict verdict = ring.verify(key);
    const auto end = std::chrono::steady_clock::now();
    let_in += verdict.caller != nullptr ? 1U : 0U;
    times[kind].push_back(std::chrono::duration<double, std::nano>(end - begin).count());
  }
  std::filesystem::remove_all(directory);
  std::array<Moments, kKinds.size()> all;
  for (std::size_t k = 0; k < kKinds.size(); ++k) {
    all[k] = moments_of(std::move(times[k]));
    fmt::print("{:<26} {:8.0f} ns  n {:.0f}\n", kKinds[k], all[k].mean, all[k].count);
  }
  fmt::print("t unknown : wrong secret   {:6.2f}\n", welch_t(all[0], all[1]));
  fmt::print("t unknown : revoked        {:6.2f}\n", welch_t(all[0], all[2]));
  fmt::print("let in {}\n", let_in);
}

}  // namespace
}  // namespace dormouse::gateway

int main(int argc, char** argv) {
  std::size_t samples = 1'000'000;
  const std::string_view text = argc > 1 ? argv[1] : "1000000";
  std::from_chars(text.data(), text.data() + text.size(), samples);
  dormouse::gateway::run(std::max<std::size_t>(samples, 1'000));
  return 0;
}
