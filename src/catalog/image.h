// One entry of the gallery: what it is, whom it suits, how large it is, where it comes from. A value; no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::catalog {

// What others measured of a quantisation, on a model that need not be this one. Never in place of Image::kld.
struct PublishedLoss {
  std::string of;                         // whose loss: "Llama 3 8B"
  std::optional<double> kld;              // nats, mean over a text, against 16 bits
  std::optional<double> same_top;         // share of positions with the same likeliest token, 0 to 1
  std::optional<double> perplexity_rise;  // 0.022: 2.2 % above 16 bits
  std::string source;
  friend bool operator==(const PublishedLoss&, const PublishedLoss&) = default;
};

struct Image {
  std::string name;          // "qwen3-4b"
  std::string tag;           // "q4_k_m"
  std::string family;        // "qwen3"
  std::string parameters;    // "4b"
  std::string quantisation;  // "Q4_K_M"
  std::string title_en;
  std::string title_zh;
  std::string summary_en;  // a line
  std::string summary_zh;
  std::string suits_en;  // whom
  std::string suits_zh;
  std::string licence;  // SPDX, in lower case; empty: not said

  // One of the two. A file is a GGUF of this name in a model directory, or an absolute path of the user's. What a
  // server of others fetches itself is a repository ("Qwen/Qwen3-4B") or a name in its library ("qwen3:4b").
  std::string file;
  std::string upstream;
  std::vector<std::string> runtimes;  // that can run it; never empty; the first one does unless a deployment says

  std::int64_t bytes = 0;  // of the file or the weights; 0: not known
  enum class Size { kPublished, kEstimated } size = Size::kPublished;
  std::string sha256;       // 64 lowercase digits; empty: the hub knows
  std::string huggingface;  // repository; empty: not known to be there
  std::string modelscope;
  std::string hub_file;  // its name there; empty: `file`
  std::string url;       // a user's own source

  std::int64_t layers = 0;  // of its shape; 0: not known
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t context = 0;
  std::optional<double> kld;  // measured loss of these very weights in nats; nullopt: not measured
  std::vector<PublishedLoss> published_losses;

  std::vector<std::string> keys;      // canonical keys that mean this image
  std::vector<std::string> keywords;  // for search, any language
  bool embedded = false;              // committed with the source
  friend bool operator==(const Image&, const Image&) = default;

  [[nodiscard]] std::string reference() const { return name + ":" + tag; }
  // What a worker of it takes on this machine with one conversation of kMemoryContext tokens: the weights, fp16 keys
  // and values, and kWorkerBytes. 0: its size is not known. On a GPU the driver and its buffers take 1.2 GB instead of
  // kWorkerBytes (planner/model_fit.h; `dormouse plan` adds that up).
  [[nodiscard]] std::int64_t memory_bytes() const;
  // Whether every word of the query is in its names, titles, whom it suits, quantisation, runtimes or
  // keywords. Without case; a word that begins with a digit is a number there too: "4b" is not in "14b".
  [[nodiscard]] bool matches(std::string_view query) const;
};

inline constexpr std::int64_t kMemoryContext = 4'096;
// A ready worker's resident bytes beside its file: 62 MiB measured (docs/performance.md).
inline constexpr std::int64_t kWorkerBytes = 64 << 20;

}  // namespace dormouse::catalog
