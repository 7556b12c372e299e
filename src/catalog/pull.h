// `dormouse pull`: a file from a hub, an address or this machine into the model directory, under its name, whole and
// with the sha256 that was promised, or not at all (requirements S-28, R-19). What is there when it ends otherwise is
// kept and taken up by the next call. A library: the command line and the console both start it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "catalog/image.h"
#include "catalog/pull_hub.h"
#include "catalog/pull_network.h"

namespace dormouse::catalog {

struct PullRequest {
  Image image;            // `file`: the name it gets; bytes, sha256 and repositories as far as they are known
  std::string directory;  // where it goes; made if it is not there
  // Empty: the hub that answers first. "huggingface", "modelscope", an address, a path or file://.
  std::string source;
};

struct PullOptions {
  AllowedHosts hosts;
  Proxies proxies;
  HubEndpoints endpoints;
  int connections = 4;
  std::int64_t piece_bytes = 16 << 20;
  std::chrono::milliseconds reach{5'000};        // the longest a hub may take to answer at all
  std::chrono::milliseconds retry_delay{1'000};  // see TransferOptions
};

// With the user's further hosts, and what the environment says: HTTPS_PROXY and its like (see Proxies), HF_ENDPOINT.
// Errors: kInvalidArgument, naming the host or the variable.
[[nodiscard]] Result<PullOptions> pull_options(const std::vector<std::string>& allow_hosts,
                                               const std::function<std::string(const char*)>& environment);

struct PullProgress {
  enum class Stage { kAsking, kLoading, kChecking, kCopying } stage = Stage::kAsking;
  std::string source = {};  // "huggingface", a host, a path
  std::int64_t done = 0;
  std::int64_t total = 0;       // 0: not known yet
  double bytes_per_second = 0;  // over the last kRateWindow; 0: not known yet
  std::int64_t resumed = 0;     // of `done`, from an earlier call
};
inline constexpr std::chrono::seconds kRateWindow{5};
[[nodiscard]] std::string_view to_string(PullProgress::Stage stage);  // "asking", "loading", "checking", "copying"
// nullopt: not known, or nothing is loading.
[[nodiscard]] std::optional<double> seconds_left(const PullProgress& progress);

struct Pulled {
  std::string path;
  std::string source;
  std::string sha256;
  std::int64_t bytes = 0;
  enum class How { kWasThere, kLoaded, kCopied } how = How::kLoaded;
};

// Blocks; runs an event loop of its own. `on_progress` is called on this thread, at each change of stage and every
// kProgressStep.
// Errors: kInvalidArgument (nothing says where it comes from or what its sha256 is; no GGUF), kNotFound,
// kPermissionDenied (hosts, addresses, the directory), kAlreadyExists (another pull of it runs; a file of another size
// has its name), kTooLarge (the disk is too small or full: the part stays), kDataLoss (other bytes than promised: the
// part is thrown away), kRateLimited, kUnavailable, kDeadlineExceeded, kCancelled (the part stays).
Result<Pulled> pull(const PullRequest& request, const PullOptions& options, const Clock& clock,
                    const std::function<void(const PullProgress&)>& on_progress, std::stop_token stop);
inline constexpr std::chrono::milliseconds kProgressStep{200};

// What a URL or a path given instead of an image is: named by its last part. Errors: kInvalidArgument (that part is no
// file name).
[[nodiscard]] Result<Image> image_of_source(std::string_view source);
// Whether a source lies on this machine: file://, or a path.
[[nodiscard]] bool is_local_source(std::string_view source);

}  // namespace dormouse::catalog
