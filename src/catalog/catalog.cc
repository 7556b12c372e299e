#include "catalog/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "catalog/image_name.h"
#include "catalog/images_text.h"
#include "catalog/toml.h"

namespace dormouse::catalog {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNearMatches = 3;
// More edits than this and the name was meant otherwise.
constexpr std::size_t kMaxNearDistance = 4;

Result<Image> read_image(const TomlTable& entry) {
  Image image;
  image.name = entry.string("name");
  image.tag = entry.string("tag");
  image.file = entry.string("file");
  if (image.name.empty() || image.tag.empty() || image.file.empty()) {
    return make_error(Code::kInvalidArgument, "images: an entry needs name, tag and file");
  }
  image.family = entry.string("family");
  image.parameters = entry.string("parameters");
  image.quantisation = entry.string("quantisation");
  image.title_en = entry.string("title_en");
  image.title_zh = entry.string("title_zh");
  image.keywords = entry.list("keywords");
  image.embedded = entry.boolean("embedded", false);
  image.keys.push_back(canonical_image_key(image.reference()));
  if (entry.boolean("default", false)) image.keys.push_back(canonical_image_key(image.name));
  for (const std::string& alias : entry.list("aliases")) image.keys.push_back(canonical_image_key(alias));
  const std::string file_key = canonical_image_key(image.file);
  if (std::find(image.keys.begin(), image.keys.end(), file_key) == image.keys.end()) image.keys.push_back(file_key);
  return image;
}

std::string lower_ascii(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string searchable(const Image& image) {
  return lower_ascii(fmt::format("{} {} {} {} {}", image.reference(), image.title_en, image.title_zh,
                                 image.quantisation, fmt::join(image.keywords, " ")));
}

bool is_file(const fs::path& path) {
  std::error_code ec;
  return fs::is_regular_file(path, ec);
}

Result<ResolvedImage> resolve_file(const fs::path& path) {
  std::error_code ec;
  const fs::path absolute = fs::absolute(path, ec).lexically_normal();
  if (ec || !is_file(absolute)) {
    return make_error(Code::kNotFound, fmt::format("no such file: {}", path.string()));
  }
  return ResolvedImage{.reference = "file:" + absolute.filename().string(), .path = absolute.string()};
}

}  // namespace

Result<Catalog> Catalog::parse(std::string_view toml) {
  TRY(TomlTable root, parse_toml(toml, "images.toml"));
  Catalog out;
  for (const TomlTable& entry : root.table_lists["image"]) {
    TRY(Image image, read_image(entry));
    for (const std::string& key : image.keys) {
      if (const Image* other = out.find(key)) {
        return make_error(Code::kInvalidArgument,
                          fmt::format("images: '{}' means both {} and {}", key, other->reference(), image.reference()));
      }
    }
    out.images_.push_back(std::move(image));
  }
  return out;
}

Result<Catalog> Catalog::built_in() {
  return parse(images_text());
}

const Image* Catalog::find(std::string_view name) const {
  const std::string key = canonical_image_key(name);
  for (const Image& image : images_) {
    if (std::find(image.keys.begin(), image.keys.end(), key) != image.keys.end()) return &image;
  }
  return nullptr;
}

std::vector<const Image*> Catalog::search(std::string_view query) const {
  std::vector<std::string> words;
  std::string word;
  for (const char c : lower_ascii(query) + " ") {
    if (c != ' ') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  std::vector<const Image*> out;
  for (const Image& image : images_) {
    const std::string text = searchable(image);
    const bool all = std::all_of(words.begin(), words.end(),
                                 [&text](const std::string& w) { return text.find(w) != std::string::npos; });
    if (all) out.push_back(&image);
  }
  return out;
}

std::vector<std::string> Catalog::near_matches(std::string_view name) const {
  const std::string wanted = canonical_image_key(name);
  std::vector<std::pair<std::size_t, std::string>> scored;
  for (const Image& image : images_) {
    std::size_t best = kMaxNearDistance + 1;
    for (const std::string& key : image.keys) {
      const bool contained = wanted.size() >= 3 && key.find(wanted) != std::string::npos;
      best = std::min(best, contained ? std::size_t{1} : edit_distance(wanted, key));
    }
    if (best <= kMaxNearDistance) scored.emplace_back(best, image.reference());
  }
  std::sort(scored.begin(), scored.end());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(scored.size(), kMaxNearMatches); ++i) out.push_back(scored[i].second);
  return out;
}

Result<ResolvedImage> Catalog::resolve(std::string_view name, const std::vector<std::string>& directories) const {
  if (name.starts_with("file:")) return resolve_file(fs::path(name.substr(5)));
  if (name.ends_with(".gguf") && (is_file(fs::path(name)) || name.find('/') != std::string_view::npos)) {
    return resolve_file(fs::path(name));
  }
  const Image* image = find(name);
  if (image == nullptr) {
    const std::vector<std::string> near = near_matches(name);
    const std::string hint = near.empty() ? std::string("`dormouse images` lists what there is")
                                          : fmt::format("did you mean {}?", fmt::join(near, " or "));
    return make_error(Code::kNotFound, fmt::format("no image is called '{}'; {}", name, hint));
  }
  for (const std::string& directory : directories) {
    const fs::path candidate = fs::path(directory) / image->file;
    if (!is_file(candidate)) continue;
    TRY(ResolvedImage found, resolve_file(candidate));
    found.reference = image->reference();
    return found;
  }
  return make_error(Code::kNotFound, fmt::format("{}: its file {} is in none of {}", image->reference(), image->file,
                                                 fmt::join(directories, ", ")));
}

std::vector<std::string> model_directories(const std::string& extra, const std::string& data_dir,
                                           const std::string& program_dir) {
  std::vector<std::string> out;
  if (!extra.empty()) out.push_back(extra);
  if (!data_dir.empty()) out.push_back((fs::path(data_dir) / "models").string());
  for (const char* relative : {"models", "../models", "../../models", "../share/dormouse/models"}) {
    out.push_back((fs::path(program_dir) / relative).lexically_normal().string());
  }
  return out;
}

}  // namespace dormouse::catalog
