// What the hubs say of a file: where it lies there, how large it is, which hash it has. Pure; threads: any.
// Source: huggingface_hub's and modelscope's own clients. Neither hub can be reached from where this was written: the
// answers that the tests hold are written from those sources.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "http/url.h"

namespace dormouse::catalog {

enum class Hub { kHuggingFace, kModelScope };
[[nodiscard]] std::string_view to_string(Hub hub);  // "huggingface", "modelscope"

struct HubEndpoints {
  std::string huggingface = "https://huggingface.co";  // HF_ENDPOINT: a mirror
  std::string modelscope = "https://www.modelscope.cn";
};

struct HubFile {
  Hub hub = Hub::kHuggingFace;
  std::string repository;  // "Qwen/Qwen3-4B-GGUF"
  std::string name;        // "Qwen3-4B-Q4_K_M.gguf"
};

// Errors: kInvalidArgument (an endpoint that is no address).
[[nodiscard]] Result<http::Url> file_url(const HubEndpoints& endpoints, const HubFile& file);
[[nodiscard]] Result<http::Url> listing_url(const HubEndpoints& endpoints, const HubFile& file);

struct FileFacts {
  std::int64_t bytes = 0;  // 0: not said
  std::string sha256;      // empty: not said
};

// Of the answer to HEAD: X-Linked-Size and X-Linked-Etag, which is the sha256 of what Git LFS or Xet keeps.
[[nodiscard]] FileFacts facts_of(const http::Headers& headers);
// Of listing_url's answer. Errors: kNotFound (no such file there), kUnavailable (not the JSON that was expected).
[[nodiscard]] Result<FileFacts> facts_in_listing(const HubFile& file, std::string_view json);

[[nodiscard]] bool is_sha256(std::string_view text);  // 64 lowercase hexadecimal digits

}  // namespace dormouse::catalog
