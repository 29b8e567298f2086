"""Several servers on one database: who is there, and what each must know of the others."""
