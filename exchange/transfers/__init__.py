"""Transfers of copies from one holder to another."""
