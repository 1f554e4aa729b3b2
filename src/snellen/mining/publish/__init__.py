"""A reviewed hard set as a data set that others can load: which images, in which layouts, with which card."""
