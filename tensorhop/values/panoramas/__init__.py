"""Equirectangular panoramas, and the cameras that look into them."""

from tensorhop.values.panoramas.camera import INTERVALS, Camera, CameraPair
from tensorhop.values.panoramas.panorama import Panorama, check_panorama

__all__ = ["INTERVALS", "Camera", "CameraPair", "Panorama", "check_panorama"]
