#include "gateway/admin/images_wire.h"

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <utility>

#include "catalog/pull_copy.h"
#include "catalog/pull_part.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

json::value or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::array sources_of(const catalog::Image& image) {
  json::array out;
  const std::string& file = image.hub_file.empty() ? image.file : image.hub_file;
  const auto add = [&out](const char* hub, const std::string& repository, const std::string& name) {
    if (repository.empty()) return;
    json::object source;
    source["hub"] = hub;
    source["repository"] = repository;
    source["file"] = or_null(name);
    out.push_back(std::move(source));
  };
  add("huggingface", image.huggingface, file);
  add("modelscope", image.modelscope, file);
  add("url", image.url, "");
  // What a server fetches itself, from wherever it is set to.
  if (!image.upstream.empty()) add(image.runtimes.front().c_str(), image.upstream, "");
  return out;
}

json::value or_null(const std::optional<double>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}

json::array published_losses_of(const catalog::Image& image) {
  json::array out;
  for (const catalog::PublishedLoss& loss : image.published_losses) {
    json::object one;
    one["of"] = loss.of;
    one["kld"] = or_null(loss.kld);
    one["same_top"] = or_null(loss.same_top);
    one["perplexity_rise"] = or_null(loss.perplexity_rise);
    one["source"] = loss.source;
    out.push_back(std::move(one));
  }
  return out;
}

// Of an earlier pull that did not end well.
json::value part_of(const catalog::Image& image, const std::vector<std::string>& directories) {
  const bool is_pulled = !image.file.empty() && !image.file.starts_with('/') && !directories.empty();
  const std::int64_t kept = is_pulled ? catalog::PartFile::kept_bytes(directories.front() + "/" + image.file) : 0;
  return kept > 0 ? json::value(kept) : json::value(nullptr);
}

json::object object_of(const catalog::Image& image, const std::vector<std::string>& directories,
                       const std::vector<PullView>& pulls) {
  json::object out;
  out["reference"] = image.reference();
  out["name"] = image.name;
  out["tag"] = image.tag;
  out["title_en"] = image.title_en;
  out["title_zh"] = image.title_zh;
  out["summary_en"] = image.summary_en;
  out["summary_zh"] = image.summary_zh;
  out["suits_en"] = image.suits_en;
  out["suits_zh"] = image.suits_zh;
  out["family"] = or_null(image.family);
  out["parameters"] = or_null(image.parameters);
  out["quantisation"] = image.quantisation;
  json::array runtimes;
  for (const std::string& runtime : image.runtimes) runtimes.emplace_back(runtime);
  out["runtimes"] = std::move(runtimes);
  out["bytes"] = image.bytes > 0 ? json::value(image.bytes) : json::value(nullptr);
  out["is_estimated"] = image.size == catalog::Image::Size::kEstimated;
  out["memory_bytes"] = image.bytes > 0 ? json::value(image.memory_bytes()) : json::value(nullptr);
  out["context"] = image.context > 0 ? json::value(image.context) : json::value(nullptr);
  out["licence"] = or_null(image.licence);
  out["sources"] = sources_of(image);
  out["sha256"] = or_null(image.sha256);
  const bool is_present = !catalog::Catalog::find_local(image, directories).empty();
  out["is_present"] = is_present;
  out["is_pulled_by_runtime"] = !image.upstream.empty();
  out["part_bytes"] = is_present ? json::value(nullptr) : part_of(image, directories);
  const PullView* const pull = find_pull(pulls, image.reference());
  out["pull"] = pull != nullptr ? json::value(object_of(*pull)) : json::value(nullptr);
  out["kld"] = or_null(image.kld);
  out["published_losses"] = published_losses_of(image);
  return out;
}

}  // namespace

std::string images_json(const catalog::Catalog& gallery, std::string_view query,
                        const std::vector<std::string>& directories, const std::vector<PullView>& pulls) {
  json::array list;
  for (const catalog::Image* image : gallery.search(query)) list.push_back(object_of(*image, directories, pulls));
  const std::optional<std::int64_t> free =
      directories.empty() ? std::nullopt : catalog::free_bytes(directories.front());
  json::object out;
  out["images"] = std::move(list);
  out["free_bytes"] = free.has_value() ? json::value(*free) : json::value(nullptr);
  return json::serialize(out);
}

std::string image_json(const catalog::Image& image, const std::vector<std::string>& directories) {
  return json::serialize(object_of(image, directories, {}));
}

}  // namespace dormouse::gateway
