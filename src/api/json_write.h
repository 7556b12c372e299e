// Writing JSON text by hand: the answer side writes one small object a token, and a document tree would cost more than
// the text. Everything written is valid UTF-8 whatever comes in. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dormouse::api {

// Length of the valid UTF-8 sequence that `text` starts with (1..4), 0 if it starts with none. Rejects overlong forms,
// surrogates and anything over U+10FFFF.
[[nodiscard]] std::size_t utf8_sequence_length(std::string_view text);
[[nodiscard]] bool is_valid_utf8(std::string_view text);

// Appends `text` quoted and escaped (the escapes of Python's json.dumps(ensure_ascii=False)); each byte that is not
// UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);
void append_json_int(std::string& out, std::int64_t value);
// The shortest text that reads back as the same double, in Python's form (1.0, 1e-05, 1e+16). Not for NaN or infinity,
// which JSON does not have: they become null.
void append_json_double(std::string& out, double value);

}  // namespace dormouse::api
