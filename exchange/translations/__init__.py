"""The texts of the interface: collected from the code, kept in ru.po and en.po."""
