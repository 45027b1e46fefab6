/// An interpreter for the Jinja templates that checkpoints render conversations with. It prints
/// what Jinja2 prints in the sandbox that Hugging Face transformers sets up.
@NullMarked
package dev.gatun.text.chat.jinja;

import org.jspecify.annotations.NullMarked;
