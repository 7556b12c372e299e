// A hub on this machine that gives each file's pieces out only as a test lets it: a download stands where it is to be
// looked at, and nobody waits by the clock. Tests only.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "catalog/pull_fixture_test.h"
#include "http/sha256.h"

namespace dormouse::gateway {

inline std::string gguf_of(std::size_t bytes, std::uint32_t seed = 1) {
  std::string out = "GGUF";
  while (out.size() < bytes) {
    seed = seed * 1'664'525U + 1'013'904'223U;
    out += static_cast<char>(seed >> 24U);
  }
  return out;
}

inline std::string sha256_of_text(std::string_view text) {
  http::Sha256 hash;
  hash.update(text.data(), text.size());
  return hash.finish();
}

class GatedHub {
 public:
  // Contents by repository, "Acme/Tiny-GGUF".
  explicit GatedHub(std::map<std::string, std::string> files)
      : files_(std::move(files)), server_([this](const catalog::Seen& seen) { return answer(seen); }) {}
  ~GatedHub() { open(); }
  GatedHub(const GatedHub&) = delete;
  GatedHub& operator=(const GatedHub&) = delete;

  void let(int pieces) {
    {
      const std::lock_guard lock(mutex_);
      left_ = pieces;
    }
    changed_.notify_all();
  }
  void open() { let(std::numeric_limits<int>::max()); }
  [[nodiscard]] const catalog::LyingServer& server() const { return server_; }
  [[nodiscard]] std::string url() const { return server_.url(""); }
  // Requests for bytes of it that begin at this one.
  [[nodiscard]] int asked_from(const std::string& repository, std::int64_t begin) const {
    int out = 0;
    for (const catalog::Seen& seen : server_.seen()) {
      const auto range = seen.headers.find("range");
      const bool is_it = seen.target.starts_with("/" + repository) && range != seen.headers.end() &&
                         range->second.starts_with("bytes=" + std::to_string(begin) + "-");
      out += is_it ? 1 : 0;
    }
    return out;
  }

 private:
  catalog::Reply answer(const catalog::Seen& seen) {
    for (const auto& [repository, content] : files_) {
      if (!seen.target.starts_with("/" + repository + "/resolve/")) continue;
      if (seen.method != "HEAD") {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return left_ > 0; });
        --left_;
      }
      return honest(seen, content,
                    {{"X-Linked-Etag", "\"" + sha256_of_text(content) + "\""},
                     {"X-Linked-Size", std::to_string(content.size())}});
    }
    return catalog::reply(404, {}, "");
  }

  const std::map<std::string, std::string> files_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int left_ = 0;
  catalog::LyingServer server_;
};

}  // namespace dormouse::gateway
