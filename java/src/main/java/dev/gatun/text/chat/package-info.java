/// Conversations as text: a checkpoint's chat template, and which part of the text the assistant
/// said.
@NullMarked
package dev.gatun.text.chat;

import org.jspecify.annotations.NullMarked;
