// Written grammars in the form llama.cpp made known as GBNF:
//   root   ::= "answer: " choice ("," choice){0,3}     # a comment
//   choice ::= [a-z]+ | "\"" [^"\x00-\x1F]* "\""
// `root` is where it begins. Terms: "text" with \n \r \t \\ \" \[ \] \xHH \uHHHH, [characters], ., names, ( ); behind
// each * + ? {m} {m,} {m,n}. A rule goes on until the next `name ::=`. At most 4,096 rules. PURE.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "grammar/builder.h"

namespace dormouse::grammar {

inline constexpr std::size_t kMaxWrittenRules = 4096;  // reliability notes S-09

// Errors: kInvalidArgument, with the line; and Builder::finish()'s.
Result<Expr> add_gbnf(Builder& builder, std::string_view text);
Result<std::shared_ptr<const Grammar>> compile_gbnf(std::string_view text);

}  // namespace dormouse::grammar
