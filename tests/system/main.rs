//! The whole stack, driven over HTTP through `harness::System`; and the rules that the source tree keeps.

mod layers;
