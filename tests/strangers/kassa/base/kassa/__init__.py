"""Kassa: takes the money of an order once the warehouse has shipped it."""
