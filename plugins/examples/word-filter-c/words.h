/* Words, and where they are in a text that comes in pieces. */
#ifndef WORDS_H
#define WORDS_H

#include "bytes.h"

/* What is looked for. ASCII letters match in either case. A word that begins or ends with an ASCII letter or digit does
 * not match inside a longer one: `ass` is not in `class`. Other scripts have no such rule: Korean words grow endings. */
typedef struct {
  Buffer *list;
  size_t count;
  /* Stands in for a word; nothing where a text ends before its first word. */
  Span replacement;
} Words;

/* A text on its way through; all zero at its begin. */
typedef struct {
  /* The begin of what could be a word, until more is known. */
  Buffer held;
  /* The byte before it. */
  char before;
  /* A word has ended the text: nothing more of it is passed on. */
  bool blocked;
} Passage;

/* Adds what may be passed on to `out` when `piece` comes, `is_last` where nothing comes after it: of no text is more held
 * back than the longest word has bytes. Returns how many words were found. */
size_t words_filter(const Words *words, Passage *passage, Span piece, bool is_last, Buffer *out);

#endif
