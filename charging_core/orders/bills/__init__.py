"""Bills as accounts: every version of a bill with what it rests on, the explanation of each line, cross-checks, quotes, staff repair."""
