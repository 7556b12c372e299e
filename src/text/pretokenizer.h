// Cuts text into the pieces BPE works on, as the qwen2 regular expression does:
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// A hand-written matcher over code points: linear time, constant stack, no std::regex (reliability notes S-08).
// \s is White_Space. No normalisation (NFC), and contractions are ASCII: both as llama.cpp does. A byte that is not
// UTF-8 counts as one character that is neither letter, number nor space.
// Pure; threads: any.
#pragma once

#include <cstddef>
#include <string_view>

namespace dormouse::text {

// The end of the piece that begins at `begin` (< text.size()). Always > begin. Pieces tile the text.
[[nodiscard]] std::size_t next_piece_end(std::string_view text, std::size_t begin);

}  // namespace dormouse::text
