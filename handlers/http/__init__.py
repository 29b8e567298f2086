"""What all REST handlers share: a base, guards, bodies and answers."""
