// Image names in the forms people type, brought to one key: qwen3:4b-q4_k_m, qwen3-4b:q4_k_m, Qwen/Qwen3-4B-GGUF:Q4_K_M
// and Qwen3-4B-Q4_K_M.gguf are the same image. No I/O.
#pragma once

#include <string>
#include <string_view>

namespace dormouse::catalog {

// Lower case; the registry and owner before the last '/' dropped; ':', '-', ' ' are one separator; a trailing
// ":latest",
// "-gguf" and ".gguf" say nothing and go. "qwen3-4b:q4_k_m" -> "qwen3-4b-q4_k_m".
[[nodiscard]] std::string canonical_image_key(std::string_view name);

// Number of single-character edits between two keys (Levenshtein), for "did you mean". Costs |a|*|b|; both are short.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace dormouse::catalog
