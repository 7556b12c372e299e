#include "catalog/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "catalog/image_entry.h"
#include "catalog/image_name.h"
#include "catalog/images_text.h"
#include "catalog/toml.h"

namespace dormouse::catalog {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNearMatches = 3;
// More edits than this and the name was meant otherwise.
constexpr std::size_t kMaxNearDistance = 4;

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
  return ResolvedImage{
      .reference = fmt::format("file:{}", absolute.filename().string()), .path = absolute.string(), .runtimes = {}};
}

// The user's own list; more than this is none.
constexpr std::uintmax_t kMaxListBytes = 1 << 20;

Result<std::string> read_text(const std::string& path) {
  std::error_code ec;
  const std::uintmax_t bytes = fs::file_size(path, ec);
  if (ec) return make_error(Code::kPermissionDenied, fmt::format("{}: {}", path, ec.message()));
  if (bytes > kMaxListBytes) {
    return make_error(Code::kTooLarge, fmt::format("{}: {} bytes, at most {}", path, bytes, kMaxListBytes));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return make_error(Code::kPermissionDenied, fmt::format("{}: cannot be read", path));
  return std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

Result<Catalog> Catalog::parse(std::string_view toml, std::string_view what) {
  TRY(const TomlTable root, parse_toml(toml, what));
  TRY(std::vector<Image> images, read_images(root, what));
  Catalog out;
  for (Image& image : images) {
    const auto is_same = [&image](const Image& other) { return other.reference() == image.reference(); };
    if (std::any_of(out.images_.begin(), out.images_.end(), is_same)) {
      return make_error(Code::kInvalidArgument, fmt::format("{}: {} is there twice", what, image.reference()));
    }
    const Status added = out.put(std::move(image));
    if (!added.has_value()) return make_error(added.error().code, fmt::format("{}: {}", what, added.error().message));
  }
  return out;
}

Result<Catalog> Catalog::built_in() {
  return parse(images_text());
}

Result<Catalog> Catalog::of_installation(const std::string& data_dir, const std::vector<Image>& configured) {
  TRY(Catalog out, built_in());
  const std::string path = data_dir + "/images.toml";
  if (std::error_code ec; fs::exists(path, ec)) {
    TRY(const std::string text, read_text(path));
    TRY(const TomlTable root, parse_toml(text, path));
    TRY(std::vector<Image> own, read_images(root, path));
    for (Image& image : own) {
      const Status added = out.put(std::move(image));
      if (!added.has_value()) return make_error(added.error().code, fmt::format("{}: {}", path, added.error().message));
    }
  }
  for (const Image& image : configured) TRY_STATUS(out.put(image));
  return out;
}

Status Catalog::put(Image image) {
  const auto place = std::find_if(images_.begin(), images_.end(),
                                  [&image](const Image& other) { return other.reference() == image.reference(); });
  for (const std::string& key : image.keys) {
    const Image* const other = find(key);
    if (other == nullptr || (place != images_.end() && other == &*place)) continue;
    return make_error(Code::kInvalidArgument,
                      fmt::format("'{}' means both {} and {}", key, other->reference(), image.reference()));
  }
  if (place == images_.end()) {
    images_.push_back(std::move(image));
    return {};
  }
  // Whoever replaces the file behind a name keeps the name's other forms.
  for (std::string& key : place->keys) {
    if (std::find(image.keys.begin(), image.keys.end(), key) == image.keys.end()) image.keys.push_back(std::move(key));
  }
  *place = std::move(image);
  return {};
}

const Image* Catalog::find(std::string_view name) const {
  const std::string key = canonical_image_key(name);
  for (const Image& image : images_) {
    if (std::find(image.keys.begin(), image.keys.end(), key) != image.keys.end()) return &image;
  }
  return nullptr;
}

std::vector<const Image*> Catalog::search(std::string_view query) const {
  std::vector<const Image*> out;
  for (const Image& image : images_) {
    if (image.matches(query)) out.push_back(&image);
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
  const std::string path = find_local(*image, directories);
  if (path.empty() && image->upstream.empty()) {
    return make_error(Code::kNotFound, fmt::format("{} is not on this machine; fetch it: dormouse pull {}",
                                                   image->reference(), image->reference()));
  }
  return ResolvedImage{
      .reference = image->reference(), .path = path.empty() ? image->upstream : path, .runtimes = image->runtimes};
}

std::string Catalog::find_local(const Image& image, const std::vector<std::string>& directories) {
  std::error_code ec;
  for (const std::string& directory : directories) {
    // An absolute path stays what it is.
    const bool is_folder = image.file.empty();
    const std::string name = is_folder ? image.upstream.substr(image.upstream.rfind('/') + 1) : image.file;
    const fs::path candidate = fs::absolute(fs::path(directory) / name, ec).lexically_normal();
    if (is_file(is_folder ? candidate / "config.json" : candidate)) return candidate.string();
  }
  return {};
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
