// Writes a vocabulary as the metadata of a GGUF file with one small tensor: for tests and benchmarks.
#pragma once

#include <string>

#include "base/result.h"
#include "text/vocabulary_fixture.h"

namespace dormouse::text {

// Leaves out the key `without`, if it is one of those written.
[[nodiscard]] Status write_vocabulary_gguf(const VocabularyFixture& fixture, const std::string& path,
                                           std::string_view without = {});

}  // namespace dormouse::text
