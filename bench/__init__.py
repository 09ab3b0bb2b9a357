"""`make bench` measures, `make bench-check` counts instructions, `make chaos` looks for wrong answers."""
