"""The types that cross folder borders: frozen, validated, with a JSON form."""
