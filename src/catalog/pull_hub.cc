#include "catalog/pull_hub.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>

#include "http/hmac.h"

namespace dormouse::catalog {
namespace {

namespace json = boost::json;

// Larger than any model.
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 50;

std::string_view endpoint_of(const HubEndpoints& endpoints, Hub hub) {
  std::string_view out = hub == Hub::kHuggingFace ? endpoints.huggingface : endpoints.modelscope;
  while (out.ends_with('/')) out.remove_suffix(1);
  return out;
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t bytes_of(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  const bool is_size =
      value != nullptr && value->is_int64() && value->get_int64() > 0 && value->get_int64() <= kMaxBytes;
  return is_size ? value->get_int64() : 0;
}

std::string sha256_or_nothing(std::string text) {
  return is_sha256(text) ? std::move(text) : std::string();
}

const json::object* object_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

const json::array* array_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr ? value->if_array() : nullptr;
}

// {"siblings":[{"rfilename":"x.gguf","size":1,"lfs":{"sha256":"...","size":1}}]}
FileFacts huggingface_facts(const json::object& entry) {
  FileFacts out{.bytes = bytes_of(entry, "size"), .sha256 = {}};
  if (const json::object* const lfs = object_in(entry, "lfs"); lfs != nullptr) {
    out.sha256 = sha256_or_nothing(text_of(*lfs, "sha256"));
  }
  return out;
}

// {"Code":200,"Data":{"Files":[{"Path":"x.gguf","Size":1,"Sha256":"..."}]}}
FileFacts modelscope_facts(const json::object& entry) {
  return {.bytes = bytes_of(entry, "Size"), .sha256 = sha256_or_nothing(text_of(entry, "Sha256"))};
}

}  // namespace

std::string_view to_string(Hub hub) {
  switch (hub) {
    case Hub::kHuggingFace: return "huggingface";
    case Hub::kModelScope: return "modelscope";
  }
  return "";
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<http::Url> file_url(const HubEndpoints& endpoints, const HubFile& file) {
  const std::string_view endpoint = endpoint_of(endpoints, file.hub);
  const std::string name = http::percent_encode(file.name);
  if (file.hub == Hub::kHuggingFace) {
    return http::Url::parse(fmt::format("{}/{}/resolve/main/{}", endpoint, file.repository, name));
  }
  return http::Url::parse(fmt::format("{}/models/{}/resolve/master/{}", endpoint, file.repository, name));
}

Result<http::Url> listing_url(const HubEndpoints& endpoints, const HubFile& file) {
  const std::string_view endpoint = endpoint_of(endpoints, file.hub);
  if (file.hub == Hub::kHuggingFace) {
    return http::Url::parse(fmt::format("{}/api/models/{}?blobs=true", endpoint, file.repository));
  }
  return http::Url::parse(
      fmt::format("{}/api/v1/models/{}/repo/files?Revision=master&Recursive=true", endpoint, file.repository));
}

FileFacts facts_of(const http::Headers& headers) {
  FileFacts out;
  std::string_view etag = headers.find("x-linked-etag").value_or("");
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) etag = etag.substr(1, etag.size() - 2);
  out.sha256 = sha256_or_nothing(std::string(etag));
  const std::string_view size = headers.find("x-linked-size").value_or("");
  std::int64_t bytes = 0;
  const auto [end, ec] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  const bool is_whole = ec == std::errc() && end == size.data() + size.size();
  if (is_whole && bytes > 0 && bytes <= kMaxBytes) out.bytes = bytes;
  return out;
}

Result<FileFacts> facts_in_listing(const HubFile& file, std::string_view text) {
  const auto odd = [&file] {
    return make_error(Code::kUnavailable,
                      fmt::format("{}: its list of {} is not what was expected", to_string(file.hub), file.repository));
  };
  boost::system::error_code ec;
  const json::value root = json::parse(json::string_view(text.data(), text.size()), ec);
  if (ec || !root.is_object()) return odd();
  const bool is_modelscope = file.hub == Hub::kModelScope;
  const json::object* const holder = is_modelscope ? object_in(root.get_object(), "Data") : root.if_object();
  const json::array* const files =
      holder != nullptr ? array_in(*holder, is_modelscope ? "Files" : "siblings") : nullptr;
  if (files == nullptr) return odd();
  for (const json::value& value : *files) {
    const json::object* const entry = value.if_object();
    if (entry == nullptr || text_of(*entry, is_modelscope ? "Path" : "rfilename") != file.name) continue;
    return is_modelscope ? modelscope_facts(*entry) : huggingface_facts(*entry);
  }
  return make_error(Code::kNotFound,
                    fmt::format("{}: {} has no file {}", to_string(file.hub), file.repository, file.name));
}

}  // namespace dormouse::catalog
