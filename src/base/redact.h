// Takes API keys out of text that is about to be logged. The second line of defence: nobody hands a key to the log on
// purpose, but a message may quote what it did not understand. Threads: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dormouse {

// Every run of `ls[ka]_[A-Za-z0-9_]+` becomes "lsk_[redacted]" ("lsa_..."). nullopt: there is none, the usual case.
[[nodiscard]] std::optional<std::string> redact_keys(std::string_view text);

}  // namespace dormouse
