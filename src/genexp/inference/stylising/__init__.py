"""What `genexp stylize` does: the methods that paint pictures, and how pictures are read and written."""
