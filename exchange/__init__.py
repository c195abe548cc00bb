"""Взаимообмен: the portal with which the schools of a district exchange textbooks."""
