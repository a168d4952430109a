//! glibc heaps of real processes, against what malloc says of itself.
