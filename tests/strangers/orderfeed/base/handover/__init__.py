"""Hands released orders over to LogiHub, who pack and ship them."""
