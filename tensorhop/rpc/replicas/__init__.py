"""The servers behind one name, as those call them that stand beside them."""
