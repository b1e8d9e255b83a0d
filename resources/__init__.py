"""Everything that touches the outside: warehouse, frames on disk, Persona Database, ledger, provisioners."""
