"""`hub apply FILE`: one declarative file describes an operator; validated as a whole, shown as a diff, written in one transaction."""
