#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace dormouse::text {

namespace {

// A file without a tokenizer is a damaged file to us, whatever the reader calls the missing key.
template <typename T>
Result<T> required(Result<T> value) {
  if (!value.has_value() && value.error().code == Code::kNotFound) {
    return make_error(Code::kDataLoss, std::move(value).error().message);
  }
  return value;
}

}  // namespace

Result<Tokenizer> Tokenizer::from_gguf(const gguf::File& file) {
  VocabularyTables tables;
  TRY(tables.model, required(file.get_string("tokenizer.ggml.model")));
  TRY(tables.pre, required(file.get_string("tokenizer.ggml.pre")));
  TRY(tables.tokens, required(file.get_string_array("tokenizer.ggml.tokens")));
  TRY(const std::vector<std::int64_t> types, required(file.get_int_array("tokenizer.ggml.token_type")));
  tables.types = types;
  TRY(tables.merges, required(file.get_string_array("tokenizer.ggml.merges")));
  TRY(tables.eos_token_id, required(file.get_uint("tokenizer.ggml.eos_token_id", 0, UINT32_MAX)));
  return from_tables(tables);
}

}  // namespace dormouse::text
