#include "catalog/image_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <optional>
#include <utility>

#include "catalog/image_name.h"

namespace dormouse::catalog {
namespace {

// Larger than any model; its sums with keys and values stay far inside 64 bits.
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 50;
constexpr std::int64_t kMaxShape = 1'000'000;
constexpr std::size_t kMaxTextBytes = 4'096;
constexpr double kMaxLoss = 1'000;  // nats, or times as perplexed: no model that answers is so bad

using Keys = std::vector<std::string_view>;

Keys model_texts() {
  return {"name",       "family",     "parameters", "title_en", "title_zh",
          "summary_en", "summary_zh", "suits_en",   "suits_zh", "licence"};
}
Keys file_texts() {
  return {"tag", "quantisation", "sha256", "huggingface", "modelscope", "hub_file", "url"};
}
Keys model_integers() {
  return {"layers", "kv_heads", "head_dim", "context"};
}

Keys with(Keys keys, std::initializer_list<std::string_view> more) {
  keys.insert(keys.end(), more);
  return keys;
}

Error wrong(std::string_view where, std::string_view why) {
  return make_error(Code::kInvalidArgument, fmt::format("{}: {}", where, why));
}

template <typename Map>
Status check_keys(const Map& map, const Keys& known, std::string_view where) {
  for (const auto& [key, value] : map) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return wrong(where, fmt::format("'{}' is no key of that kind here", key));
  }
  return {};
}

// What a kind of entry may have, and nothing else.
struct KnownKeys {
  Keys texts = {};
  Keys integers = {};
  Keys decimals = {};
  Keys booleans = {};
  Keys lists = {};
  Keys tables = {};
};

Status check_entry(const TomlTable& table, const KnownKeys& known, std::string_view where) {
  TRY_STATUS(check_keys(table.strings, known.texts, where));
  TRY_STATUS(check_keys(table.integers, known.integers, where));
  TRY_STATUS(check_keys(table.decimals, known.decimals, where));
  TRY_STATUS(check_keys(table.booleans, known.booleans, where));
  TRY_STATUS(check_keys(table.lists, known.lists, where));
  TRY_STATUS(check_keys(table.tables, {}, where));
  TRY_STATUS(check_keys(table.table_lists, known.tables, where));
  for (const auto& [key, text] : table.strings) {
    if (text.size() > kMaxTextBytes) return wrong(where, fmt::format("{}: over {} bytes", key, kMaxTextBytes));
  }
  return {};
}

Result<std::int64_t> read_integer(const TomlTable& table, const std::string& key, std::int64_t most,
                                  std::string_view where) {
  const std::int64_t value = table.integer(key, 0);
  if (value >= 0 && value <= most) return value;
  return wrong(where, fmt::format("{}: {}; want 0 to {}", key, value, most));
}

// A number that may be written without a point; not a NaN, which TOML has.
Result<std::optional<double>> read_decimal(const TomlTable& table, const std::string& key, double least, double most,
                                           std::string_view where) {
  std::optional<double> value;
  if (const auto at = table.decimals.find(key); at != table.decimals.end()) value = at->second;
  if (const auto at = table.integers.find(key); at != table.integers.end()) value = static_cast<double>(at->second);
  if (!value.has_value() || (*value >= least && *value <= most)) return value;
  return wrong(where, fmt::format("{}: {}; want {} to {}", key, *value, least, most));
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "OWNER/NAME", as both hubs have it: it becomes a part of an address.
bool is_repository(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == text.size()) return false;
  if (text.find('/', slash + 1) != std::string_view::npos || text.find("..") != std::string_view::npos) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '/';
  });
}

// A name in a folder, never a way out of it.
bool is_file_name(std::string_view text) {
  return !text.empty() && text.find_first_of("/\\") == std::string_view::npos && !text.starts_with('.') &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

Status read_model(const TomlTable& table, std::string_view where, Image& out) {
  out.name = table.string("name");
  out.family = table.string("family");
  out.parameters = table.string("parameters");
  out.title_en = table.string("title_en");
  out.title_zh = table.string("title_zh");
  out.summary_en = table.string("summary_en");
  out.summary_zh = table.string("summary_zh");
  out.suits_en = table.string("suits_en");
  out.suits_zh = table.string("suits_zh");
  out.licence = table.string("licence");
  out.keywords = table.list("keywords");
  TRY(out.layers, read_integer(table, "layers", kMaxShape / 1'000, where));
  TRY(out.kv_heads, read_integer(table, "kv_heads", kMaxShape / 1'000, where));
  TRY(out.head_dim, read_integer(table, "head_dim", kMaxShape / 100, where));
  TRY(out.context, read_integer(table, "context", kMaxShape * 1'000, where));
  return {};
}

Status check_sources(const Image& image, std::string_view where) {
  if (!image.sha256.empty() && !is_sha256(image.sha256)) {
    return wrong(where, "sha256: want 64 hexadecimal digits in lower case");
  }
  for (const auto& [key, repository] :
       {std::pair{"huggingface", &image.huggingface}, std::pair{"modelscope", &image.modelscope}}) {
    if (!repository->empty() && !is_repository(*repository)) {
      return wrong(where, fmt::format("{}: '{}'; want OWNER/NAME", key, *repository));
    }
  }
  if (!image.hub_file.empty() && !is_file_name(image.hub_file)) {
    return wrong(where, fmt::format("hub_file: '{}' is no file name", image.hub_file));
  }
  return {};
}

Status read_file(const TomlTable& table, std::string_view where, Image& out) {
  out.tag = table.string("tag");
  out.quantisation = table.string("quantisation");
  if (out.quantisation.empty()) {
    for (const char c : out.tag) out.quantisation += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  out.sha256 = table.string("sha256");
  out.huggingface = table.string("huggingface");
  out.modelscope = table.string("modelscope");
  out.hub_file = table.string("hub_file");
  out.url = table.string("url");
  out.embedded = table.boolean("embedded", false);
  if (table.boolean("estimated", false)) out.size = Image::Size::kEstimated;
  TRY(out.bytes, read_integer(table, "bytes", kMaxBytes, where));
  TRY(out.kld, read_decimal(table, "kld", 0, kMaxLoss, where));
  if (out.name.empty() || out.tag.empty()) return wrong(where, "needs a name and a tag");
  return check_sources(out, where);
}

void add_keys(const TomlTable& table, Image& image) {
  const auto add = [&image](std::string_view name) {
    const std::string key = canonical_image_key(name);
    const bool is_known = std::find(image.keys.begin(), image.keys.end(), key) != image.keys.end();
    if (!key.empty() && !is_known) image.keys.push_back(key);
  };
  add(image.reference());
  if (table.boolean("default", false)) add(image.name);
  for (const std::string& alias : table.list("aliases")) add(alias);
  add(image.file);
}

void join(std::string& text, const std::string& more, std::string_view between) {
  if (!text.empty() && !more.empty()) text += between;
  text += more;
}

// By quantisation or runtime: English and Chinese.
using SuitsOf = std::map<std::string, std::pair<std::string, std::string>>;

Result<SuitsOf> read_suits(const std::vector<TomlTable>& entries, std::string_view what) {
  SuitsOf out;
  for (const TomlTable& entry : entries) {
    const std::string where = fmt::format("{}: [[suits]]", what);
    TRY_STATUS(check_entry(entry, {.texts = {"quantisation", "runtime", "en", "zh"}}, where));
    const std::string of = entry.string("quantisation") + entry.string("runtime");
    if (of.empty()) return wrong(where, "needs a quantisation or a runtime");
    out[of] = {entry.string("en"), entry.string("zh")};
  }
  return out;
}

using LossesOf = std::map<std::string, std::vector<PublishedLoss>>;  // by quantisation

Result<LossesOf> read_losses(const std::vector<TomlTable>& entries, std::string_view what) {
  LossesOf out;
  const Keys numbers = {"kld", "same_top", "perplexity_rise"};
  for (const TomlTable& entry : entries) {
    const std::string where = fmt::format("{}: [[loss]] {}", what, entry.string("quantisation"));
    TRY_STATUS(check_entry(entry, {.texts = {"quantisation", "of", "source"}, .integers = numbers, .decimals = numbers},
                           where));
    PublishedLoss loss;
    loss.of = entry.string("of");
    loss.source = entry.string("source");
    TRY(loss.kld, read_decimal(entry, "kld", 0, kMaxLoss, where));
    TRY(loss.same_top, read_decimal(entry, "same_top", 0, 1, where));
    TRY(loss.perplexity_rise, read_decimal(entry, "perplexity_rise", -1, kMaxLoss, where));
    // A figure that nobody can look up is worth nothing.
    if (entry.string("quantisation").empty() || loss.of.empty() || loss.source.empty()) {
      return wrong(where, "needs a quantisation, of and source");
    }
    if (!loss.kld.has_value() && !loss.same_top.has_value() && !loss.perplexity_rise.has_value()) {
      return wrong(where, "needs kld, same_top or perplexity_rise");
    }
    out[entry.string("quantisation")].push_back(std::move(loss));
  }
  return out;
}

// What is said once for all models.
struct Common {
  SuitsOf suits;
  LossesOf losses;
};

// What a server of others fetches itself.
Status make_upstream(const TomlTable& table, std::string_view where, Image& image) {
  const std::string runtime = table.string("runtime");
  if (runtime != "vllm" && runtime != "ollama") return wrong(where, "runtime: want vllm or ollama");
  image.upstream = table.string("upstream");
  if (image.upstream.empty()) return wrong(where, "upstream: what does that server call it?");
  if (runtime == "vllm" && !is_repository(image.upstream)) {
    return wrong(where, fmt::format("upstream: '{}'; want OWNER/NAME", image.upstream));
  }
  image.name += "-" + runtime;
  image.runtimes = {runtime};
  return {};
}

Result<Image> read_model_file(const TomlTable& table, const Image& model, const std::string& stem, const Common& common,
                              std::string_view what) {
  const std::string where = fmt::format("{}: {}: {}", what, model.name, table.string("tag"));
  TRY_STATUS(check_entry(table,
                         {.texts = with(file_texts(), {"runtime", "upstream"}),
                          .integers = {"bytes", "kld"},
                          .decimals = {"kld"},
                          .booleans = {"default", "estimated"},
                          .lists = {"aliases"}},
                         where));
  Image out = model;
  TRY_STATUS(read_file(table, where, out));
  const std::string runtime = table.string("runtime");
  if (!runtime.empty()) {
    TRY_STATUS(make_upstream(table, where, out));
  } else {
    out.file = fmt::format("{}-{}.gguf", stem, out.quantisation);
    if (!is_file_name(out.file)) return wrong(where, fmt::format("'{}' is no file name", out.file));
    out.runtimes = {"builtin", "llama-server"};
  }
  auto said = common.suits.find(runtime);
  if (runtime.empty() || said == common.suits.end()) said = common.suits.find(out.quantisation);
  if (said != common.suits.end()) {
    join(out.suits_en, said->second.first, "; ");
    join(out.suits_zh, said->second.second, "；");
  }
  const auto losses = common.losses.find(out.quantisation);
  if (losses != common.losses.end()) out.published_losses = losses->second;
  add_keys(table, out);
  return out;
}

Result<Image> read_image(const TomlTable& table, std::string_view what) {
  const std::string where = fmt::format("{}: [[image]] {}", what, table.string("name"));
  Keys texts = with(model_texts(), {"file"});
  const Keys more = file_texts();
  texts.insert(texts.end(), more.begin(), more.end());
  TRY_STATUS(check_entry(table,
                         {.texts = texts,
                          .integers = with(model_integers(), {"bytes", "kld"}),
                          .decimals = {"kld"},
                          .booleans = {"default", "embedded", "estimated"},
                          .lists = {"aliases", "keywords", "runtimes"}},
                         where));
  Image out;
  TRY_STATUS(read_model(table, where, out));
  TRY_STATUS(read_file(table, where, out));
  out.file = table.string("file");
  if (!out.file.starts_with('/') && !is_file_name(out.file)) {
    return wrong(where, fmt::format("file: '{}'; want a file's name, or a path that begins with /", out.file));
  }
  out.runtimes = table.list("runtimes");
  if (out.runtimes.empty()) out.runtimes = {"builtin", "llama-server"};
  if (out.title_en.empty()) out.title_en = out.title_zh.empty() ? out.reference() : out.title_zh;
  if (out.title_zh.empty()) out.title_zh = out.title_en;
  add_keys(table, out);
  return out;
}

}  // namespace

Result<std::vector<Image>> read_image_entries(const std::vector<TomlTable>& entries, std::string_view what) {
  std::vector<Image> out;
  for (const TomlTable& entry : entries) {
    TRY(Image image, read_image(entry, what));
    out.push_back(std::move(image));
  }
  return out;
}

Result<std::vector<Image>> read_images(const TomlTable& root, std::string_view what) {
  TRY_STATUS(check_entry(root, {.tables = {"suits", "loss", "model", "image"}}, what));
  const auto list = [&root](const char* key) -> const std::vector<TomlTable>& {
    static const std::vector<TomlTable> kNone;
    const auto found = root.table_lists.find(key);
    return found == root.table_lists.end() ? kNone : found->second;
  };
  Common common;
  TRY(common.suits, read_suits(list("suits"), what));
  TRY(common.losses, read_losses(list("loss"), what));
  TRY(std::vector<Image> out, read_image_entries(list("image"), what));
  for (const TomlTable& table : list("model")) {
    const std::string where = fmt::format("{}: [[model]] {}", what, table.string("name"));
    TRY_STATUS(check_entry(table,
                           {.texts = with(model_texts(), {"stem"}),
                            .integers = model_integers(),
                            .lists = {"keywords"},
                            .tables = {"file"}},
                           where));
    Image model;
    TRY_STATUS(read_model(table, where, model));
    const auto files = table.table_lists.find("file");
    if (files == table.table_lists.end()) return wrong(where, "needs a [[model.file]]");
    for (const TomlTable& file : files->second) {
      TRY(Image image, read_model_file(file, model, table.string("stem"), common, what));
      out.push_back(std::move(image));
    }
  }
  return out;
}

}  // namespace dormouse::catalog
